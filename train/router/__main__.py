"""Trains the router: python -m train.router"""

from train.router.training import main

main()
