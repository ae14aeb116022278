"""The classifier behind the Auto tab: python -m train.router"""
