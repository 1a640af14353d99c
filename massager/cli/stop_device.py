"""`massager stop` where no controller runs: sends the stop to the device itself."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from massager.cli.saying import say
from massager.errors import ConfigError, ExitCode, NoDevice

if TYPE_CHECKING:
    from massager.transports import DeviceUrl, Settings

NOTHING_TO_STOP: Final = (
    "no session of yours runs, and no device is chosen to send a stop to; name one: "
    "massager stop --device URL. In doubt, pull the plug"
)


def stop_device(args: Namespace) -> int:
    """0 once every device has confirmed output 0, 5 where one has not.

    Raises NoDevice, ConfigError.
    """
    from massager.cli.settings import devices_of

    try:
        found = devices_of(args)
    except ConfigError as mistake:
        return _stop_in_spite_of(mistake, args)
    if not found:
        raise NoDevice(NOTHING_TO_STOP)
    return _send(found, args.now)


def _stop_in_spite_of(mistake: ConfigError, args: Namespace) -> int:
    """With what is right in the config. Said only afterwards: nothing delays the stop."""
    from massager.cli.settings import devices_to_stop

    try:
        found = devices_to_stop(args)
    except ConfigError as error:  # the device itself
        mistake, found = error, []
    if not found:
        raise ConfigError(f"{mistake}. And {NOTHING_TO_STOP}")
    try:
        return _send(found, args.now)
    finally:
        say(f"massager: {mistake} (the stop did without this setting)", sys.stderr)


def _send(devices: "list[tuple[DeviceUrl, Settings]]", now: bool) -> int:
    import asyncio

    from massager.transports.url import SimUrl

    outside = [each for each in devices if not isinstance(each[0], SimUrl)]
    if not outside:
        say("No such session runs, and a simulated device lives only in its session: all is off.")
        return ExitCode.OK
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_stop_all(outside, now))


async def _stop_all(devices: "list[tuple[DeviceUrl, Settings]]", now: bool) -> ExitCode:
    """All at once: no device waits for another. Raises NoDevice where one cannot be reached."""
    import asyncio

    stops = [_stop(url, settings, now) for url, settings in devices]
    code, failures = ExitCode.OK, []
    for outcome in await asyncio.gather(*stops, return_exceptions=True):
        if isinstance(outcome, BaseException):
            failures.append(outcome)
        else:
            code = max(code, outcome)
    for failure in failures[1:]:
        say(f"massager: {failure}", sys.stderr)
    if failures:
        raise failures[0]
    return code


async def _stop(url: "DeviceUrl", settings: "Settings", now: bool) -> ExitCode:
    from massager.cli.stop import NOT_OFF
    from massager.controller import Controller
    from massager.session.model import MOTOR_MOVES, Ended, HardStop, SoftStop, Stopping
    from massager.transports import open_transport

    transport = open_transport(url, settings)
    controller = Controller(transport)
    said = False
    await controller.open()
    try:
        controller.request(HardStop() if now else SoftStop())
        say(f"No session of yours drives {url}; sending it the stop.")
        while not isinstance(controller.state, Ended):
            await controller.changed()
            if isinstance(controller.state, Stopping) and controller.state.acknowledged:
                if not said:
                    say("The device has taken it.")
                said = True
    finally:
        await controller.close()
    if controller.state.output_confirmed:
        say("The motor is off (the device confirmed it).")
        if now:
            say("It stays latched until `massager clear`.")
        return ExitCode.OK
    if controller.state.detail == MOTOR_MOVES:
        say(f"massager: {NOT_OFF}", sys.stderr)
        return ExitCode.FAILED
    garbage = " Something answered that is no massager." if controller.bad_frames else ""
    say(
        "massager: the device did not confirm that its motor is off. If it still moves, pull the "
        f"plug.{garbage}",
        sys.stderr,
    )
    return ExitCode.FAILED
