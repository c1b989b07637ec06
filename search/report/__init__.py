"""What people read of a search: results, report, TensorBoard, the Optuna study."""
