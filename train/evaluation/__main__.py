"""Measures checkpoints: python -m train.evaluation"""

from train.evaluation.command import main

main()
