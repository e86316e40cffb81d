"""Stacks of calibrated lights: registered, weighed, cleaned."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autoreduce.calibration.quality import NO_LIGHT, unusable_lights
from autoreduce.calibration.workspace import TaskResult, Workspace
from autoreduce.errors import NoStackError
from autoreduce.fits.cards import Card, format_card, without
from autoreduce.fits.tables import table_extension
from autoreduce.fits.writer import MASK, UNCERT, ImageWriter
from autoreduce.pixels.bayer import RGB, is_known
from autoreduce.pixels.combination import Combination, Method, Rejection
from autoreduce.pixels.combine import combine
from autoreduce.pixels.flags import no_value
from autoreduce.pixels.stacking import HALO, Limits, Own, StackResult, stack
from autoreduce.planning.naming import stack_output
from autoreduce.planning.plan import Task
from autoreduce.planning.recipe import ColourSource, StackLevel
from autoreduce.products.lightlist import LIGHT_COLUMNS, light_row
from autoreduce.products.lights import KEEP
from autoreduce.products.pointing import FOCUS_CARDS
from autoreduce.products.provenance import PLANE_CARDS, product_cards
from autoreduce.products.registration import (
    RegistrationProduct,
    place_numbers,
    read_registration,
)
from autoreduce.products.stack_cards import (
    OF_ONE_LIGHT,
    Shares,
    exposure_cards,
    noise_cards,
    saturation_cards,
    time_cards,
    total_exposure,
)
from autoreduce.products.stack_colours import colour_source
from autoreduce.products.stack_errors import (
    correlation_cards,
    variance_of,
    why_no_errors,
)
from autoreduce.products.stack_light import StackLight
from autoreduce.products.stack_members import StackMembers, aligned, unaligned
from autoreduce.remarks import Remark, condensed, remark, some

Image = NDArray[np.float32]

MOST_TOLD = 100
"""Lights left out that HISTORY names; the table of inputs has all."""
TALLEST, SHORTEST = 512, 16
"""Rows of a band, as memory allows: shorter ones read much of each light twice."""
ROWS_AT_ONCE = 128
"""Rows that are combined at a time: more take more memory, fewer are more often halo."""
FOCUS_STEPS, MOSTLY = 4, 0.6
"""Positions of the focuser, in all and for each light, that make a focus run ..."""
FOCUS_CHANGE = 1.5
"""... if the widest stars are so many times as wide as the narrowest."""
WORKING, WORKING_COLOURS = 8, 16
"""Rows of floats that a light takes on its way to the grid, beside the result; those of
a mosaic."""
OTHER_SCALE = 0.01
"""Difference in scale from which fields of the same stars are those of another telescope."""
MANY = 0.02
"""Part of a light's samples, from which it is told that so many are rejected: noise
explains 1e-4, cosmic rays and a satellite half a per cent."""
UNEVEN = 1.0
"""Slope of a light's sky across the grid, of its noise, that may be taken out."""
CURED = 4
"""By how much fewer samples must be rejected then: what moves, as a comet, has planes fitted
to it that cure little."""
NUSED = "NUSED"
"""Plane with the number of lights that went into each pixel."""


def make_stack(
    task: Task,
    workspace: Workspace,
    digest: str,
    lights: Mapping[str, Mapping[str, float]],
    digests: Mapping[str, str],
) -> TaskResult:
    """Combine calibrated lights of one object and filter.

    Lights that would only harm the stack are left out of it, unless the observer asked
    for them; see `autoreduce.calibration.quality.unusable_lights`.  Each field that
    the lights show gets a stack of its own.

    Parameters
    ----------
    task : Task
        The stack.
    workspace : Workspace
        Where.
    digest : str
        Digest of the task.
    lights : mapping of str to mapping
        Statistics of the lights that could be made.
    digests : mapping of str to str
        Digests of those lights.

    Returns
    -------
    TaskResult
        ``exptime`` (total, s) and ``rejected`` (fraction) as statistics; lights that
        were left out, each with the reason; of the others ``flux_scale`` and
        ``weight``; what was written.

    Raises
    ------
    NoStackError
        If no two lights lie on one another, or they are those of a focus run.
    ProductError
        If the product cannot be written.
    """
    registration = None
    if task.registration is not None:
        registration = read_registration(workspace.folder / task.registration)
    there = [
        StackLight.read(
            workspace.folder,
            output,
            registration.places[output] if registration else None,
            lights[output],
        )
        for output in task.products
        if output in lights
    ]
    left_out = _unusable(there, workspace)
    good = [light for light in there if light.item.file not in left_out]
    if any(is_known(light.pattern) for light in good):
        n_bytes = max(light.modelled_bytes for light in good)
        good = list(workspace.each(StackLight.modelled, good, n_bytes=n_bytes))
    fields, apart = _fields(good, registration, task)
    left_out |= apart
    if not fields:
        raise NoStackError(_why_none(left_out), left_out)
    if run := _focus_run(good):
        raise NoStackError(run, left_out)
    made = [
        _Stack(
            task,
            workspace,
            digest,
            number,
            _members(members, number, registration, workspace),
            registration,
            left_out,
        )
        .in_colours()
        .with_errors()
        .write(digests)
        for number, members in sorted(fields.items())
    ]
    lost = [output for output in task.products if output not in lights]
    return _together(task, made, _scales(registration, fields), left_out, lost)


def _members(
    lights: Sequence[StackLight],
    number: int,
    registration: RegistrationProduct | None,
    workspace: Workspace,
) -> StackMembers:
    if registration is None:
        return unaligned(lights, workspace.recipe)
    recipe, folder = workspace.recipe, workspace.folder
    return workspace.apart(aligned, lights, number, registration, recipe, folder)


def _scales(
    registration: RegistrationProduct | None, fields: Iterable[int]
) -> list[float | None]:
    """Give the size of the pixels of each field, of those of the first."""
    known = registration.scales if registration else ()
    return [known[number - 1] if known else None for number in sorted(fields)]


def _together(
    task: Task,
    made: Sequence[TaskResult],
    scales: Sequence[float | None],
    left_out: Mapping[str, Remark],
    lost: Sequence[str],
) -> TaskResult:
    """Say of all stacks of a task what there is to say."""
    n = sum(one.n_used for one in made)
    remarks = [remark("without-light", found=output) for output in lost]
    remarks += dict.fromkeys(one for part in made for one in part.remarks)
    for part, scale in zip(made, scales, strict=True):
        found, shown = f"{part.n_used} of {n} lights", part.outputs[0]
        if shown == task.output:
            continue
        code = "other-field"
        if scale is not None and abs(scale - 1) > OTHER_SCALE:
            code, found = (
                "other-scale",
                f"{found} with pixels {scale:.3g} times as large",
            )
        remarks.append(remark(code, found=found, expected=shown))
    return TaskResult(
        statistics=made[0].statistics,
        left_out=left_out,
        remarks=tuple(remarks),
        measured={light: row for part in made for light, row in part.measured.items()},
        n_used=n,
        outputs=tuple(output for part in made for output in part.outputs),
    )


def _why_none(left_out: Mapping[str, Remark]) -> Remark:
    """Say why nothing is stacked: the commonest reasons, and for how many."""
    reasons = condensed(why.about(output) for output, why in left_out.items())
    reasons.sort(key=lambda why: -len(why.subject))
    commonest = "; ".join(
        f"{len(why.subject)} of {len(left_out)} lights: {why}" for why in reasons[:2]
    )
    return remark("nothing-fits", found=commonest)


def _focus_run(lights: Sequence[StackLight]) -> Remark | None:
    """Tell whether lights are those of a focus run."""
    positions = [light.number(*FOCUS_CARDS) for light in lights]
    widths = [light.statistics.get("fwhm", math.nan) for light in lights]
    known = [
        (at, width)
        for at, width in zip(positions, widths, strict=True)
        if at is not None and math.isfinite(width)
    ]
    if len({at for at, _ in known}) < max(FOCUS_STEPS, MOSTLY * len(lights)):
        return None
    narrow, wide = min(width for _, width in known), max(width for _, width in known)
    if wide < FOCUS_CHANGE * narrow:
        return None
    steps = sorted({at for at, _ in known})
    return remark(
        "focus-run",
        found=f"{len(steps)} positions of the focuser, {steps[0]:g} to {steps[-1]:g}",
        expected=f"{narrow:.1f} to {wide:.1f} pixels",
    )


def _unusable(lights: Sequence[StackLight], workspace: Workspace) -> dict[str, Remark]:
    """Find the unusable lights, those of each exposure among themselves."""
    if not workspace.recipe.quality.check:
        return {}
    exposures: dict[float | None, list[StackLight]] = defaultdict(list)
    for light in lights:
        exposures[light.item.exptime].append(light)
    found = {}
    for group in exposures.values():
        statistics = [light.statistics for light in group]
        for i, why in unusable_lights(statistics, workspace.recipe.quality).items():
            light = group[i]
            if light.header.get(KEEP) is True:
                continue
            if why.code == NO_LIGHT and light.shows_something():
                continue
            found[light.item.file] = why.about(light.item.file)
    return found


def _fields(
    lights: Sequence[StackLight], registration: RegistrationProduct | None, task: Task
) -> tuple[dict[int, list[StackLight]], dict[str, Remark]]:
    """Sort lights by the field that they show; leave out what cannot be stacked."""
    if registration is None:
        return ({1: list(lights)} if lights else {}), {}
    fields: dict[int, list[StackLight]] = defaultdict(list)
    apart: dict[str, Remark] = {}
    for light in lights:
        place = light.place or registration.places[light.item.file]
        if place.why_not is not None:
            apart[light.item.file] = place.why_not
        else:
            fields[place.field].append(light)
    for number, members in list(fields.items()):
        if len(members) < 2 and len(task.products) > 1:
            (light,) = fields.pop(number)
            why = remark("alone", light.item.file, found=task.group)
            apart[light.item.file] = why
    return dict(fields), apart


@dataclass(frozen=True, slots=True)
class _Stack:
    """The stack of a field on its way to the disk."""

    task: Task
    workspace: Workspace
    digest: str
    number: int
    """Number of the field."""
    members: StackMembers
    registration: RegistrationProduct | None
    """None in a stack that is not aligned."""
    left_out: Mapping[str, Remark]
    colours: tuple[StackMembers, ...] = ()
    """The same in each colour of a colour camera; of others, the same."""
    source: ColourSource = ColourSource.INTERPOLATED
    """What colours are made of."""
    remarks: tuple[Remark, ...] = ()
    """What there is to say of it."""
    has_errors: bool = False
    """Whether errors of its pixels are written."""

    @property
    def output(self) -> str:
        """Where it is written."""
        return stack_output(self.task.output, self.number)

    def in_colours(self) -> "_Stack":
        """Take mosaics apart, and decide what their colours are made of."""
        members, recipe = self.members, self.workspace.recipe
        colours, remarks = members.in_colours(recipe), members.remarks
        if not members.is_mosaic:
            return replace(self, colours=colours, remarks=remarks)
        source, why = colour_source(members.lights, members.grid, recipe)
        if not self._is_clean_mean():
            source = ColourSource.INTERPOLATED
        return replace(self, colours=colours, source=source, remarks=(*remarks, why))

    def with_errors(self) -> "_Stack":
        """Decide whether errors of pixels are written: where they can be worked out."""
        if not self.workspace.planes:
            return self
        why = why_no_errors(self.members.lights, self._how.method)
        if why is None:
            smoothed = self.colours
            if self.source is not ColourSource.OWN:
                smoothed = tuple(members.smoothed() for members in self.colours)
            return replace(self, colours=smoothed, has_errors=True)
        return replace(self, remarks=(*self.remarks, why))

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx), or (3, ny, nx) of a colour camera."""
        n = len(self.colours)
        return self.members.grid.shape if n == 1 else (n, *self.members.grid.shape)

    def even(self) -> "_Stack":
        """Slope the sky of all lights as that of the reference slopes."""
        wanted = self.workspace.recipe.stack.level is StackLevel.SKY
        if not (wanted and self._is_clean_mean()):
            return self
        planes = list(self.workspace.each(StackMembers.planes, self.colours))
        chosen = [
            max(plane.sigmas for plane in of_light) > UNEVEN
            for of_light in zip(*planes, strict=True)
        ]
        if not any(chosen):
            return self
        files = [light.item.file for light in self.members.lights]
        names = [PurePosixPath(file).name for file in itertools.compress(files, chosen)]
        return replace(
            self,
            # Those of green, where there are three.
            members=self.members.sloped(planes[len(planes) // 2], chosen),
            colours=tuple(
                members.sloped(own, chosen)
                for members, own in zip(self.colours, planes, strict=True)
            ),
            remarks=(*self.remarks, remark("sky-slopes", found=some(names))),
        )

    def _is_cured(self, parts: NDArray[np.float64], evened: "_Stack") -> bool:
        """Tell whether slopes of the sky were what had samples rejected."""
        if evened is self:
            return False
        rejected = np.sum([band.rejected for _, band in evened._bands()], axis=0)
        after = rejected / math.prod(self.shape)
        return bool(after.max() <= min(MANY, parts.max() / CURED))

    def write(self, digests: Mapping[str, str]) -> TaskResult:
        """Combine band by band, and write everything.

        Where far too many samples are rejected since the sky slopes otherwise in some
        lights, they are combined again without that.
        """
        lights = self.members.lights
        rejected = np.zeros(len(lights), np.int64)
        planes: dict[str, DTypeLike] = {}
        if self.workspace.planes:
            errors = {UNCERT: np.float32} if self.has_errors else {}
            planes = {MASK: np.uint8, **errors, NUSED: np.uint16}
        shares = Shares.of(self.members.models)
        cards = partial(self._cards, shares, self._correlation(shares))
        nothing = {"exptime": 0.0, "rejected": 0.0}
        with ImageWriter(
            self.workspace.folder / self.output,
            self.shape,
            header_cards=len(cards(nothing)),
            planes=planes,
            overwrite=True,
            fill=self.workspace.fill,
        ) as writer:
            for start, band in self._bands():
                rejected += band.rejected
                writer.write_rows(start, band.data)
                if planes:
                    writer.write_rows(start, no_value(band.data), plane=MASK)
                    writer.write_rows(start, band.n_used, plane=NUSED)
                if band.variance is not None:
                    writer.write_rows(start, np.sqrt(band.variance), plane=UNCERT)
            statistics = {
                "exptime": total_exposure(lights),
                "rejected": float(rejected.sum()) / math.prod(self.shape) / len(lights),
            }
            writer.finish(
                cards(statistics),
                plane_cards=PLANE_CARDS | {UNCERT: format_card(*self._unit)},
                table=self._inputs(digests, rejected, shares),
            )
        parts = rejected / math.prod(self.shape)
        if parts.max() > MANY and self._is_cured(parts, evened := self.even()):
            return evened.write(digests)
        return TaskResult(
            statistics=statistics,
            remarks=(*self.remarks, *self._many(parts)),
            measured={
                light.item.file: {"flux_scale": light.factor, "weight": share}
                for light, share in zip(lights, shares.weights, strict=True)
            },
            n_used=len(lights),
            outputs=(self.output,),
        )

    def _many(self, parts: NDArray[np.float64]) -> Iterator[Remark]:
        """Tell of lights of which far too many samples are rejected."""
        files = [light.item.file for light in self.members.lights]
        odd = [i for i in np.argsort(-parts, kind="stable") if parts[i] > MANY]
        if not odd:
            return
        names = [PurePosixPath(files[i]).name for i in odd]
        few = len(odd) < len(files) / 2
        chosen = self.workspace.pattern_of(files[i] for i in odd) if few else ""
        way_out = f"--exclude '{chosen}'" if few else ""
        each = zip(odd, names, strict=True)
        found = some([f"{100 * parts[i]:.1f} % of {name}" for i, name in each])
        yield remark("many-rejected", found=found, way_out=way_out)

    def _bands(self) -> Iterator[tuple[int, StackResult]]:
        """Combine the lights, colour by colour and band by band.

        Rows of the planes of a cube follow each other.
        """
        ny, nx = self.members.grid.shape
        samples = 2 if self.source is ColourSource.OWN else 1
        working = WORKING if len(self.colours) == 1 else WORKING_COLOURS
        n = len(self.members.lights)
        # A byte of each sample tells whether it is rejected.
        row = nx * (4 * (samples * n + working) + n)
        memory = self.workspace.memory // self.workspace.threads
        height = min(max(memory // row - 2 * HALO, SHORTEST), TALLEST)
        starts = [
            (plane, start)
            for plane in range(len(self.colours))
            for start in range(0, ny, height)
        ]
        parts = [(plane, start, min(start + height, ny)) for plane, start in starts]
        one = replace(self, workspace=self.workspace.alone())
        combined = self.workspace.each(one.band, parts)
        rows = (plane * ny + start for plane, start in starts)
        return zip(rows, combined, strict=True)

    def band(self, part: tuple[int, int, int]) -> StackResult:
        """Combine rows of a colour of all lights, from the first to that before the last."""
        plane, start, stop = part
        members = self.colours[plane]
        halo = HALO if self._is_clean_mean() else 0
        low = max(start - halo, 0)
        high = min(stop + halo, members.grid.shape[0])
        own = None
        if self.source is ColourSource.OWN:
            own = [light.own_rows(start, stop) for light in members.lights]
        sigmas = None
        if self.has_errors:
            measured = own is not None
            sigmas = [
                light.sigma(start, stop, measured=measured) for light in members.lights
            ]
        band = _Band(members, [light.rows(low, high) for light in members.lights],
                     low, high, own, start, sigmas)  # fmt: skip
        parts = [
            self._combined(band, first, min(first + ROWS_AT_ONCE, stop))
            for first in range(start, stop, ROWS_AT_ONCE)
        ]
        return _joined(parts)

    @property
    def _how(self) -> Combination:
        """How samples are combined."""
        how = self.workspace.recipe.stack.combine
        # In lights that are not aligned every star that moved would be an outlier.
        if self.registration is None and how.rejection is Rejection.SIGMA:
            return replace(how, rejection=Rejection.NONE)
        return how

    def _is_clean_mean(self) -> bool:
        """Tell whether a mean is made, without what the model of noise excludes."""
        usual = (Rejection.SIGMA, Rejection.NONE)
        mean = self._how.method is Method.MEAN and self._how.rejection in usual
        return mean and self.registration is not None

    def _combined(self, band: "_Band", start: int, stop: int) -> StackResult:
        """Combine rows of a band."""
        how, models = self._how, band.members.models
        if not self._is_clean_mean():
            mean = how.method is Method.MEAN and self.registration is not None
            weights = [model.weight for model in models] if mean else None
            made = combine(band.rows(start, stop), how, weights=weights)
            sigmas = band.sigma_rows(start, stop)
            if sigmas is None:
                return StackResult(*made)
            variance = variance_of(how.method, sigmas, weights, made.n_used)
            return StackResult(*made, variance)
        limits = Limits(how.low, how.high) if how.rejection is Rejection.SIGMA else None
        halo = min(HALO, start - band.low), min(HALO, band.high - stop)
        return stack(
            band.rows(start - halo[0], stop + halo[1]),
            models,
            limits,
            sky=band.members.reference.statistics.get("sky", 0.0),
            halo=halo,
            own=band.own_rows(start, stop),
            sigmas=band.sigma_rows(start, stop),
        )

    @property
    def _unit(self) -> Card:
        """Unit of its pixels: that of its lights."""
        unit = self.members.reference.header.get("BUNIT") or "adu"
        return Card("BUNIT", unit, "unit of the pixel values")

    def _correlation(self, shares: Shares) -> list[Card]:
        """Tell what resampling correlates, of a stack with errors."""
        if not self.has_errors:
            return []
        planes = [members.lights for members in self.colours]
        own = self.source is ColourSource.OWN
        return correlation_cards(planes, shares.weights, measured=own)

    def _cards(
        self,
        shares: Shares,
        correlation: Sequence[Card],
        statistics: Mapping[str, float],
    ) -> list[bytes]:
        lights, reference = self.members.lights, self.members.reference
        unit = self._unit.value
        extra = [
            self._unit,
            Card("NCOMBINE", len(lights), "lights combined"),
            Card("NLEFTOUT", len(self.left_out), "lights left out automatically"),
            *exposure_cards(lights, shares, reference),
            *time_cards(lights, shares),
            *noise_cards(lights, shares),
            *saturation_cards(lights, str(unit)),
            *correlation,
            Card("REJECTED", statistics["rejected"], "fraction of samples rejected"),
            Card("ALIGNED", self.registration is not None, "lights on one another"),
            Card("REFERENC", reference.item.file, "light whose scale it has"),
            Card("RECIPE", self.workspace.recipe.title, "recipe"),
            Card("DIGEST", self.digest, "state of all that it was made from"),
        ]
        if self.members.is_mosaic:
            extra += [
                Card("PLANES", RGB, "colours of the planes"),
                Card("COLOURS", self.source, "own: of a colour's own pixels"),
            ]
        if self.registration is not None:
            grid = self.registration.references[self.number - 1]
            extra += [
                Card("GRID", grid, "light whose pixels it has"),
                Card("FIELD", self.number, "number of the field"),
            ]
            if self.workspace.recipe.stack.level is StackLevel.SKY:
                sky = reference.statistics.get("sky")
                extra.append(Card("SKYLEVEL", sky, f"[{unit}] sky level"))
        base = without(self.members.cards, OF_ONE_LIGHT)
        history = [f"left out {file}: {why}" for file, why in self.left_out.items()]
        return product_cards(
            self.task,
            extra,
            base=base,
            history=(*map(str, self.remarks), *history[:MOST_TOLD]),
        )

    def _inputs(
        self, digests: Mapping[str, str], rejected: NDArray[np.int64], shares: Shares
    ) -> bytes:
        """Write the table of all lights, those left out among them."""
        rows = []
        for light, n, share in zip(
            self.members.lights, rejected, shares.weights, strict=True
        ):
            numbers = {"flux_scale": light.factor, "weight": share}
            rows.append({**self._row(light, numbers, self.output), "rejected": int(n)})
        for file, why in self.left_out.items():
            rows.append({"light": file, "weight": 0.0, "why_not": str(why)})
        for row in rows:
            row["digest"] = digests.get(str(row["light"]), "")
        names = [column.name for column in LIGHT_COLUMNS]
        texts = {column.name for column in LIGHT_COLUMNS if column.text} | {"digest"}
        columns = {
            name: [row.get(name, "" if name in texts else math.nan) for row in rows]
            for name in (*names, "rejected", "digest")
        }
        return table_extension(
            "INPUTS",
            {
                name: values if name in texts else np.array(values, np.float64)
                for name, values in columns.items()
            },
            units={one.name: one.unit for one in LIGHT_COLUMNS if one.unit},
        )

    def _row(
        self, light: StackLight, numbers: Mapping[str, float], output: str
    ) -> dict[str, str | float]:
        facts = {**self.task.facts, "exptime": light.item.exptime}
        placed = (
            place_numbers(light.place, self.registration)
            if light.place and self.registration
            else {}
        )
        return light_row(
            light.item.file,
            facts,
            light.item.date_obs,
            light.statistics,
            placed,
            numbers,
            stack=output,
        )


class _Band(NamedTuple):
    """Rows of all lights."""

    members: StackMembers
    lights: Sequence[Image]
    low: int
    """The first of them ..."""
    high: int
    """... and the one after the last."""
    own: Sequence[Image] | None
    """What pixels of the colour measured themselves, if that is asked for."""
    own_low: int
    """The first row of that, and of ..."""
    sigmas: Sequence[Image] | None = None
    """... the errors of what is averaged, if they are known."""

    def rows(self, start: int, stop: int) -> list[Image]:
        """Give some of the rows."""
        return [one[start - self.low : stop - self.low] for one in self.lights]

    def sigma_rows(self, start: int, stop: int) -> list[Image] | None:
        """Give some of the rows of errors."""
        if self.sigmas is None:
            return None
        part = slice(start - self.own_low, stop - self.own_low)
        return [one[part] for one in self.sigmas]

    def own_rows(self, start: int, stop: int) -> list[Own] | None:
        """Give some of the rows that hold measured pixels only."""
        if self.own is None:
            return None
        part = slice(start - self.own_low, stop - self.own_low)
        return [
            Own(one[part], *light.own_offsets(start, stop))
            for one, light in zip(self.own, self.members.lights, strict=True)
        ]


def _joined(parts: Sequence[StackResult]) -> StackResult:
    """Put rows of a band together."""
    data, used = (np.concatenate([part[i] for part in parts]) for i in range(2))
    rejected = np.sum([part.rejected for part in parts], axis=0)
    variances = [part.variance for part in parts if part.variance is not None]
    variance = np.concatenate(variances) if variances else None
    return StackResult(data, used, rejected, variance)
