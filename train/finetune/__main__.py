"""Trains a vision-language model on your data: python -m train.finetune"""

from train.finetune.command import main

main()
