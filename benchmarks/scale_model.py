"""Many photos on many nodes, on paper and by simulation: hours, bottleneck, shard size, failures, price.

    python benchmarks/scale_model.py [--photos 1e8] [--nodes 1000] [--seconds-per-photo 0.1] [--price 1.0] ...

On paper, with N photos, n nodes of c actors, t CPU seconds a photo, b bytes of a photo and its result, s photos a
shard, o seconds that a shard costs besides, f failures of a node an hour:

    compute   n c / t                  photos a second
    network   n NODE_GBIT / 8 / b      of each node
    store     STORE_GBYTES / b         of the bucket, all nodes together
    driver    DRIVER_SHARDS s          what one driver hands out; `scale_ray.py --units` measures shards a second
    shard     T = s / (rate of the slowest) x n c + o      seconds in one actor
    waves     W = ceil(N / s / (n c))                       shards that an actor does, one after the other
    hours     (START + W T + p T / 2) / 3600                p = 1 - exp(-f n T / 3600): a node fails in the last wave

The simulation hands shards in order to whichever actor is free, lets nodes fail at random (their shards are done again,
and the node is back after RECOVERY), and lets shards differ in length (--spread). `--self-check` compares a run without
failures and spread with the formula.
"""

import argparse
import heapq
import math
import random
from dataclasses import dataclass

RUNS = 3  # of the simulation, with other failures


@dataclass(frozen=True)
class Plan:
    """The numbers that describe a run; the comments and names give their units."""

    photos: int = 10**8
    nodes: int = 1000
    actors: int = 32  # of a node, a core each
    seconds_per_photo: float = 0.1
    kilobytes: float = 200.0  # of a photo and its result
    shard: int = 1000  # photos
    shard_seconds: float = 1.0  # that a shard costs besides its photos
    node_gbit: float = 10.0
    store_gbytes: float = 100.0  # a second
    driver_shards: float = 58.0  # a second
    failures_per_day: float = 0.1  # of a node
    recovery_minutes: float = 5.0
    spread: float = 0.1  # standard deviation of a shard's length, as a share
    start_seconds: float = 30.0
    price: float = 1.0  # of a node an hour

    @property
    def rates(self) -> dict[str, float]:
        """Photos a second that each resource allows."""
        megabytes = self.kilobytes / 1000
        return {
            "compute": self.nodes * self.actors / self.seconds_per_photo,
            "network": self.nodes * self.node_gbit * 125 / megabytes,
            "store": self.store_gbytes * 1000 / megabytes,
            "driver": self.driver_shards * self.shard,
        }

    @property
    def bottleneck(self) -> str:
        """The resource that allows least."""
        return min(self.rates, key=self.rates.__getitem__)

    @property
    def shard_time(self) -> float:
        """Seconds of one shard in one actor when all run: its photos at the rate of the bottleneck, and the rest."""
        return self.shard * self.nodes * self.actors / self.rates[self.bottleneck] + self.shard_seconds

    @property
    def hours(self) -> float:
        """The formula above."""
        waves = math.ceil(math.ceil(self.photos / self.shard) / (self.nodes * self.actors))
        fails = 1 - math.exp(-self.failures_per_day / 86400 * self.nodes * self.shard_time)
        return (self.start_seconds + (waves + fails / 2) * self.shard_time) / 3600

    def cost(self, hours: float) -> float:
        """Price of a million photos."""
        return self.nodes * hours * self.price / self.photos * 1e6


def simulate(plan: Plan, seed: int = 0) -> tuple[float, float]:
    """Return the hours of one run, and the share of the work that was done again."""
    rng = random.Random(seed)
    shards = math.ceil(plan.photos / plan.shard)
    rate = plan.failures_per_day / 86400
    fails = [rng.expovariate(rate) if rate else math.inf for _ in range(plan.nodes)]
    free = [(plan.start_seconds, node) for node in range(plan.nodes) for _ in range(plan.actors)]
    heapq.heapify(free)
    left, done, last, lost, again = shards, 0, 0.0, 0.0, 0
    retries: list[float] = []  # when shards of failed nodes are free to be taken again
    while done < shards:
        now, node = heapq.heappop(free)
        if left:
            left -= 1
        elif retries:
            now = max(now, heapq.heappop(retries))
        else:
            break
        while fails[node] + plan.recovery_minutes * 60 <= now:  # it failed, and is back
            fails[node] += plan.recovery_minutes * 60 + rng.expovariate(rate)
        start = now if now < fails[node] else fails[node] + plan.recovery_minutes * 60
        if start > now:
            fails[node] = start + rng.expovariate(rate)
        length = plan.shard_time * max(0.1, rng.gauss(1, plan.spread))
        if start + length > fails[node]:
            lost += fails[node] - start
            again += 1
            heapq.heappush(retries, fails[node])
            heapq.heappush(free, (fails[node] + plan.recovery_minutes * 60, node))
            continue
        done += 1
        last = max(last, start + length)
        heapq.heappush(free, (start + length, node))
    return last / 3600, lost / (shards * plan.shard_time)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(Plan()).items():
        kind = (lambda text: int(float(text))) if isinstance(value, int) else float
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    parser.add_argument("--self-check", action="store_true")
    args = vars(parser.parse_args())
    if args.pop("self_check"):
        plan = Plan(photos=10**6, nodes=10, shard=100, driver_shards=1e6, failures_per_day=0, spread=0)
        hours, again = simulate(plan)
        assert abs(hours / plan.hours - 1) < 0.01 and not again, (hours, plan.hours)
        print(f"no failures: {hours:.4f} hours simulated, {plan.hours:.4f} on paper")
        return
    plan = Plan(**args)
    print(", ".join(f"{name} {rate:,.0f}/s" for name, rate in plan.rates.items()), f"for {plan.shard} photos a shard")
    print(
        "| photos a shard | bottleneck | minutes a shard | hours on paper | simulated | done again | a million photos |"
    )
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for shard in (100, 1000, 3000, 10_000, 30_000):
        each = Plan(**{**args, "shard": shard})
        hours, again = (
            sum(values) / RUNS for values in zip(*(simulate(each, seed) for seed in range(RUNS)), strict=True)
        )
        print(
            f"| {shard:,} | {each.bottleneck} | {each.shard_time / 60:.1f} | {each.hours:.2f} | {hours:.2f} | "
            f"{again:.2%} | {each.cost(hours):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
