from tests.corners import corners, one_thread, run

__all__ = ["corners", "one_thread", "run"]
