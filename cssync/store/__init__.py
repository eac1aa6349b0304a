"""The normalised local store: one SQLite file, mode 0600, whose tables are a public interface (`docs/store.md`)."""

from cssync.store.sqlite import Fence, Store, Upserted

__all__ = ["Fence", "Store", "Upserted"]
