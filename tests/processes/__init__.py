"""
Tests that need processes of their own, or real time: gevent's patching cannot be undone, and an
import happens once. The core suite stays in one process and never waits.
"""
