"""Training on your own data and backbones: python -m train.finetune"""
