"""`hqmd predict -o -`: one result on stdout, for a pipe."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hqmd_cli.errors import HqmdError
from hqmd_cli.prediction.formats import DEFAULT_FORMAT, OUTPUTS
from hqmd_cli.prediction.photo_run import PhotoRun
from hqmd_cli.registry import pick
from hqmd_cli.terminal.predict_summary import run_photos


def run_to_stdout(
    destinations: Sequence[Path],
    formats: str | None,
    refused: Mapping[str, object],
    prepare_for: Callable[[Sequence[Path], str | None], PhotoRun],
) -> None:
    """Write the result of one photo to stdout, in the format of --format.

    `prepare_for` prepares the run for given destinations and formats; `refused` are options for files. Raises HqmdError
    for more than one destination, format or photo, for a video, and for a terminal, which would show the bytes.
    """
    if len(destinations) > 1:
        raise HqmdError("-o -: stdout takes one result alone; leave out the other -o")
    if given := [flag for flag, value in refused.items() if value]:
        raise HqmdError(f"{' and '.join(given)}: for files, not for -o -")
    output = pick(OUTPUTS, formats or DEFAULT_FORMAT, "output format for -o -")
    if sys.stdout is None or sys.stdout.isatty():
        raise HqmdError("-o -: stdout is a terminal; send it to a file or a pipe, such as `> depth.png`")
    with TemporaryDirectory(prefix="hqmd-") as folder:
        result = Path(folder, f"stdout{output.suffix}")
        try:
            run = prepare_for([result], None)
        except HqmdError as error:  # which may name the file that stands in for stdout
            raise HqmdError(str(error).replace(str(result), "stdout")) from error
        if run.clips:
            raise HqmdError(f"{run.clips[0].source.name}: a video, which cannot go to stdout; give -o NAME.mp4")
        run_photos(run, names=False)
        sys.stdout.flush()
        sys.stdout.buffer.write(result.read_bytes())
        sys.stdout.buffer.flush()
