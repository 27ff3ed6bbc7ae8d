"""The quick check that `hqmd train` starts with: headers of many files, and the depth of a few frames."""

from collections.abc import Iterable, Iterator
from functools import partial

from hqmd_cli.data.check.findings import Finding, depth_problems, photo_remarks
from hqmd_cli.data.check.split_stats import Split, measure
from hqmd_cli.data.check.turned import turned_pairs
from hqmd_cli.data.pairs import FilePairs, turned_remedy
from hqmd_cli.data.sample import FileDataset, evenly, too_many
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import ends_well
from hqmd_cli.parallel.thread_pool import run_jobs

HEADERS = 2000  # pairs whose headers are read, evenly spaced
SUSPECTS = 32  # of them, at most, are decoded because a file has an unusual end
SAMPLES = 8  # frames whose depth is inspected, evenly spaced


def require_usable(datasets: Iterable[FileDataset]) -> list[str]:
    """Check each dataset quickly, and return the warnings. Raises HqmdError if one cannot be used."""
    findings = [finding for dataset in datasets for finding in quick_check(dataset)]
    for finding in findings:
        if finding.is_error:
            raise HqmdError(f"{finding.text}; `hqmd check` finds all")
    return [finding.text for finding in findings]


def quick_check(dataset: FileDataset) -> list[Finding]:
    """List the problems of a dataset that show within a second or two."""
    findings = []
    indices = evenly(len(dataset), HEADERS)
    faults = list(header_faults(dataset, indices)) if isinstance(dataset, FilePairs) else []
    if faults:
        findings.append(
            Finding(
                f"{len(faults)} of {len(indices)} frames looked at cannot be used, such as {faults[0]}",
                is_error=too_many(len(faults), len(indices)),
            )
        )
    split = Split(dataset.description, is_held_out=False, dataset=dataset)
    text, is_error = turned_pairs(dataset, indices)
    if text:
        findings.append(Finding(f"{dataset.description}: {text}", is_error))
    for index, outcome in run_jobs(evenly(len(dataset), SAMPLES), partial(measure, dataset), workers=2):
        if not isinstance(outcome, HqmdError):
            _, stats, counts = outcome
            split.add(index, stats, counts)
    return [*findings, *photo_remarks(split), *depth_problems(split)]


def header_faults(dataset: FilePairs, indices: Iterable[int]) -> Iterator[str]:
    """Describe pairs with an empty file, a file that is not a picture, or two sizes, by their headers.

    Up to SUSPECTS pairs are decoded: those whose files do not end as their format does. Truncated files do not, nor do
    intact ones of some cameras.
    """
    suspects_left = SUSPECTS
    for index in indices:
        _, photo, depth = dataset.pairs[index]
        try:
            (height, width), (depth_height, depth_width) = dataset.sizes(index)
            if suspects_left and not (ends_well(photo) and ends_well(depth)):
                suspects_left -= 1
                dataset[index]
        except HqmdError as error:
            yield str(error)
            continue
        if (height, width) != (depth_height, depth_width):
            sizes = f"photo is {width} x {height}, depth {depth_width} x {depth_height}"
            yield f"{photo} and {depth}: {sizes}{turned_remedy(photo)}"
