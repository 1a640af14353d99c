"""Home Assistant, and whoever else speaks MQTT: another client of the daemon, never a shortcut.

Pure: topics.py (every topic), entities.py (one table of what Home Assistant shows), discovery.py
(that table as its payload), states.py (what is to be seen, as payloads), commands.py (what may be
asked), replay.py (which of it is fresh).

With a clock and a broker: seeing.py (a device as it is now), desk.py (what is asked of one),
owners.py (who else keeps it), outbox.py, broker.py (a connection), bridge.py (all of it),
ids.py (what a device is called for good), removal.py (`massager ha remove`).
"""
