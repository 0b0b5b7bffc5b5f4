"""MLflow: saves the network with a signature of its tensors, then becomes `mlflow models serve`, one worker."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from benchmarks.servers.network import CLASSES, NAME, PORT, SHAPES, build

if __name__ == "__main__":
    folder = str(Path(tempfile.mkdtemp(prefix="mlflow-")) / "model")
    tensors = [TensorSpec(np.dtype("float32"), (-1, *shape)) for shape in (SHAPES[NAME], (CLASSES,))]
    signature = ModelSignature(inputs=Schema(tensors[:1]), outputs=Schema(tensors[1:]))
    mlflow.pytorch.save_model(
        build(), folder, signature=signature, pip_requirements=["torch"], serialization_format="pickle"
    )
    command = str(Path(sys.executable).with_name("mlflow"))
    words = ["models", "serve", "-m", folder, "-h", "127.0.0.1", "-p", str(PORT), "--env-manager", "local"]
    os.execv(command, [command, *words, "--workers", "1"])
