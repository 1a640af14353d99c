"""The files that make `massager serve` a service of systemd. Pure text; nothing is written here.

The system's service has a user of its own, sees no home and no other device, and is told of a hang
by its watchdog: systemd ends it, and the leases stop the motors.
"""

from dataclasses import dataclass
from typing import Final

UNIT: Final = "massager.service"
SYSTEM_UNIT: Final = f"/etc/systemd/system/{UNIT}"
SYSTEM_USER_FILE: Final = "/etc/sysusers.d/massager.conf"
SYSTEM_CONFIG: Final = "/etc/massager/config.toml"
UDEV_RULE: Final = "/etc/udev/rules.d/70-massager.rules"


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file to write. `keep`: it is a person's, and left alone where it is there already."""

    path: str
    text: str
    mode: int = 0o644
    keep: bool = False


_COMMON: Final = """\
Type=notify
ExecStart={program} serve
# 2 and 3 are mistakes in the config and a second daemon: starting again would not help.
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 3
# The first SIGTERM ends the sessions softly, which takes 2.5 s.
KillMode=mixed
TimeoutStopSec=15
WatchdogSec=10
WatchdogSignal=SIGKILL
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
SystemCallArchitectures=native
"""

_USER_UNIT: Final = """\
[Unit]
Description=Foot massager: owner of the device
After=network.target

[Service]
{common}
[Install]
WantedBy=default.target
"""

_SYSTEM_UNIT: Final = """\
[Unit]
Description=Foot massager: owner of the device
After=network.target

[Service]
User=massager
Group=massager
SupplementaryGroups=dialout
Environment=MASSAGER_CONFIG={config}
Environment=MASSAGER_HISTORY=/var/lib/massager/history.db
Environment=MASSAGER_RUNTIME_DIR=/run/massager
StateDirectory=massager
StateDirectoryMode=0700
# Members of the group massager may use it.
RuntimeDirectory=massager
RuntimeDirectoryMode=0750
ConfigurationDirectory=massager
ConfigurationDirectoryMode=0750
{common}ProtectSystem=strict
# Beside the config: the answers to the screening, and which history counted last.
ReadWritePaths=/etc/massager
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyS rw
CapabilityBoundingSet=
AmbientCapabilities=
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictSUIDSGID=yes
# adjtimex only asks whether the clock is right, so that no restart gains massage time. The
# history needs boot_id of /proc/sys, so ProcSubset stays as it is.
SystemCallFilter=@system-service adjtimex clock_adjtime
SystemCallFilter=~@privileged @resources
SystemCallFilter=adjtimex clock_adjtime
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

_SYSTEM_USER: Final = """\
# The user of massager.service; dialout opens serial ports.
u massager - "Foot massager" /var/lib/massager
m massager dialout
"""

_UDEV: Final = """\
# Serial adapters: the group dialout and whoever sits at this computer may open them, and
# ModemManager leaves them alone, which would talk to a massager as if it were a modem.
# Name a device in the config by its lasting name: serial:/dev/serial/by-id/...
SUBSYSTEM=="tty", KERNEL=="ttyUSB[0-9]*|ttyACM[0-9]*", GROUP="dialout", MODE="0660", \\
  TAG+="uaccess", ENV{ID_MM_DEVICE_IGNORE}="1"
"""

_EMPTY_CONFIG: Final = """\
# The device to keep; `massager devices` finds serial ports.
# device = "serial:/dev/serial/by-id/..."
"""


def system_files(program: str) -> list[ServiceFile]:
    """For the whole system; `program` is the command's absolute path."""
    common = _COMMON.format(program=program)
    return [
        ServiceFile(SYSTEM_USER_FILE, _SYSTEM_USER),
        ServiceFile(UDEV_RULE, _UDEV),
        ServiceFile(SYSTEM_CONFIG, _EMPTY_CONFIG, 0o640, keep=True),
        ServiceFile(SYSTEM_UNIT, _SYSTEM_UNIT.format(common=common, config=SYSTEM_CONFIG)),
    ]


def user_files(program: str, units: str) -> list[ServiceFile]:
    """For one user; `units` is where their units lie."""
    common = _COMMON.format(program=program)
    return [ServiceFile(f"{units}/{UNIT}", _USER_UNIT.format(common=common))]
