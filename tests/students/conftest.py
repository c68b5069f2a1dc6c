from tests.corners import one_thread

__all__ = ["one_thread"]
