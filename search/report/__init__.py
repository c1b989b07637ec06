"""What people read of a search: results, report, TensorBoard, the Optuna study."""

import logging

# Where HOME cannot be written, matplotlib takes a temporary folder, which it removes in the end. It
# says so in two long lines when it is imported.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
