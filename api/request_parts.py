"""The level below a request's body: `alwayson_scripts` and its list of units."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, PrivateAttr, model_validator
from typing_extensions import Self

from ..base.errors import InvalidRequest
from ..base.log import scrub_link
from ..controlnet.unit import ControlNetUnit
from .problems import Problem, raise_errors
from .request_fields import always_on_problems

ALWAYS_ON_PLACE = "alwayson_scripts"


class WireModel(BaseModel):
    """A part of the body: immutable, unknown fields kept, unset and null fields told apart.

    `null` reads as the default and is written back as null.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    _nulls: frozenset[str] = PrivateAttr(default=frozenset())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_nulls(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        values = cast("Mapping[str, Any]", data)
        nulls = frozenset(name for name in values if values[name] is None and name in cls.model_fields)
        model = handler({name: value for name, value in values.items() if name not in nulls})
        model._nulls = nulls
        return model

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # A picture inside the body would make every traceback megabytes long, and links may be signed.
        for name, value in self.set_values().items():
            if isinstance(value, str) and len(value) > 80:
                value = f"{scrub_link(value)[:60]}... ({len(value)} characters)"
            yield name, value

    def set_values(self) -> dict[str, Any]:
        """The fields that were given, declared ones first, then unknown ones; nulls as None. A deep copy."""
        names = [
            name for name in type(self).model_fields if name in self.model_fields_set or name in self._nulls
        ]
        values = {name: None if name in self._nulls else getattr(self, name) for name in names}
        values.update(self.model_extra or {})
        return {
            name: value if isinstance(value, BaseModel) else copy.deepcopy(value)
            for name, value in values.items()
        }

    def unknown(self) -> dict[str, Any]:
        """The fields this pack has no meaning for, at this level."""
        return dict(self.model_extra or {})


class UnitScript(WireModel):
    """The value of `alwayson_scripts.controlnet`."""

    args: tuple[ControlNetUnit, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """The script as JSON values."""
        values = self.set_values()
        if values.get("args") is not None:
            values["args"] = [unit.to_wire() for unit in self.args]
        return values


class AlwaysOn(WireModel):
    """The value of `alwayson_scripts` as Img Open uses it: model, task id, pictures, settings, units."""

    sd_model_checkpoint: str = ""
    id_task: str = ""
    sd_vae: str = ""
    output_image_format: str = "jpg"
    override_settings: dict[str, Any] = {}
    image_link: str = ""
    mask_link: str = ""
    controlnet: UnitScript = UnitScript()

    _script_name: str = PrivateAttr(default="controlnet")

    @property
    def script_name(self) -> str:
        """How the script is spelt in the body (`controlnet`, `ControlNet` …)."""
        return self._script_name

    def to_wire(self) -> dict[str, Any]:
        """The level as JSON values."""
        values = self.set_values()
        script = values.pop("controlnet", None)
        if script is not None:
            values[self._script_name] = script.to_wire()
        elif "controlnet" in self._nulls:
            values[self._script_name] = None
        return values

    @classmethod
    def from_wire(
        cls,
        data: Mapping[str, Any],
        notices: list[str] | None = None,
        errors: list[InvalidRequest] | None = None,
    ) -> AlwaysOn:
        """Read the level.

        Args:
            data: JSON values.
            notices: receives what is worth telling the user.
            errors: receives what is wrong, every problem, units included; without it they are raised as one.
        """
        found = [problem.error() for problem in always_on_problems(data)]
        bad = {str(error.details["field"]) for error in found}
        names = [name for name in data if name.lower() == "controlnet"]
        values = {name: copy.deepcopy(value) for name, value in data.items() if name not in names}
        if len(names) > 1:
            found.append(_twice(names))
        elif names and data[names[0]] is None:
            values["controlnet"] = None
        elif names and f"{ALWAYS_ON_PLACE}.controlnet" not in bad:
            values["controlnet"] = _script(data[names[0]], names[0], notices, found)
        if errors is None:
            raise_errors(found)
        elif found:
            errors += found
            return cls()
        always_on = cls.model_validate(values)
        if names:
            always_on._script_name = names[0]
        return always_on


def _twice(names: list[str]) -> InvalidRequest:
    return InvalidRequest(
        f"{ALWAYS_ON_PLACE} has both {' and '.join(names)}, and script names are compared without case.",
        "Keep one of them.",
        field=f"{ALWAYS_ON_PLACE}.{names[1]}",
    )


def _script(
    script: Mapping[str, Any], name: str, notices: list[str] | None, errors: list[InvalidRequest]
) -> UnitScript:
    place = f"{ALWAYS_ON_PLACE}.{name}.args"
    args: object = script.get("args")
    values: dict[str, Any] = {key: copy.deepcopy(value) for key, value in script.items() if key != "args"}
    if "args" in script:
        if args is not None and (isinstance(args, str) or not isinstance(args, Sequence)):
            errors.append(Problem(place, args, "a list of units").error())
        else:
            rows = cast("Sequence[object] | None", args)
            values["args"] = None if rows is None else _units(rows, place, notices, errors)
    return UnitScript.model_validate(values)


def _units(
    rows: Sequence[object], place: str, notices: list[str] | None, errors: list[InvalidRequest]
) -> tuple[ControlNetUnit, ...]:
    """Read the units; the problems of all of them are reported together."""
    units: list[ControlNetUnit] = []
    for number, row in enumerate(rows):
        where = f"{place}[{number}]"
        if not isinstance(row, Mapping):
            errors.append(Problem(where, row, "a unit (an object)").error())
            continue
        said: list[str] = []
        try:
            units.append(ControlNetUnit.from_wire(cast("Mapping[str, Any]", row), notices=said))
        except InvalidRequest as error:
            errors.append(_at(where, error))
        if notices is not None:
            notices += [f"{where}: {text}" for text in said]
    return tuple(units)


def _at(where: str, error: InvalidRequest) -> InvalidRequest:
    """The unit's error with its place in the body."""
    field = str(error.details.get("field", ""))
    separator = "." if field and error.message.startswith(field) else ": "
    details = {**error.details, "field": f"{where}.{field}" if field else where}
    return InvalidRequest(f"{where}{separator}{error.message}", error.hint, **details)
