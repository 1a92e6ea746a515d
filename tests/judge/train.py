"""Train the judge:  python tests/judge/train.py DATA   (about half an hour on two cores; writes judge.safetensors here).

DATA is a folder with CIFAR-10.  Seed 20, 10 epochs, crop and flip (one draw a batch), label smoothing .05.
"""
import sys
import time

import torch
from network import WEIGHTS, ResNet20, opinion
from safetensors.torch import save_file
from torch.nn import functional as F

from minicnn.data import load_cifar10

EPOCHS, BATCH, SEED = 10, 128, 20


def main(folder):
    torch.manual_seed(SEED)
    train, test = load_cifar10(folder, "train"), load_cifar10(folder, "test")
    x = torch.from_numpy(train.images).permute(0, 3, 1, 2).float() / 255
    padded, labels = F.pad(x, (4, 4, 4, 4), "reflect"), torch.from_numpy(train.labels)
    network = ResNet20().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=.1, momentum=.9, weight_decay=5e-4, nesterov=True)
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, .4, total_steps=EPOCHS * steps, pct_start=.25)
    for epoch in range(EPOCHS):
        started = time.time()
        run_epoch(network.train(), padded, labels, steps, optimizer, schedule)
        hits = opinion(network.eval(), test.images)[0] == test.labels
        print(f"epoch {epoch + 1}/{EPOCHS}   test {hits.mean():.2%}   {time.time() - started:.0f} s", flush=True)
    save_file({name: t.half().contiguous() if t.is_floating_point() else t for name, t in network.state_dict().items()},
              WEIGHTS)


def run_epoch(network, padded, labels, steps, optimizer, schedule):
    order = torch.randperm(len(labels))
    for i in range(steps):
        chosen = order[i * BATCH:(i + 1) * BATCH]
        down, right = torch.randint(0, 9, (2,)).tolist()
        x = padded[chosen, :, down:down + 32, right:right + 32]
        x = x.flip(3) if torch.rand(()) < .5 else x
        loss = F.cross_entropy(network(x.contiguous(memory_format=torch.channels_last)), labels[chosen], label_smoothing=.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


if __name__ == "__main__":
    main(*sys.argv[1:])
