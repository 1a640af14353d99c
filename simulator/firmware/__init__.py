"""The device's firmware on this computer: its C core as a library, and its chip in an emulator."""
