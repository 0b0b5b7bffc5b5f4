"""Baselines: fine_tune, which shows forgetting (McCloskey, Cohen, 1989), and retrain, the bound by joint training."""
