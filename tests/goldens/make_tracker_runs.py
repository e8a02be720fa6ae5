"""Makes tracker_runs/: what the libraries of other trackers leave of a run. Done once; what it makes is kept in git.

python tests/goldens/make_tracker_runs.py wandb         in a venv with wandb 0.31
python tests/goldens/make_tracker_runs.py keras         in the venv of a TFX line
python tests/goldens/make_tracker_runs.py writer        in a venv with torch.utils.tensorboard or tensorboardX
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

RUNS = Path(__file__).parent / "tracker_runs"
HPARAMS = {"learning_rate": 0.01, "units": 32, "optimizer": "adam", "shuffle": True}


def wandb_run() -> None:
    """Offline: nothing is sent. Long texts make records that go over several blocks of the log."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DISABLE_GIT": "true"}
    import tempfile

    import wandb

    with tempfile.TemporaryDirectory() as folder:
        settings = wandb.Settings(
            x_disable_stats=True, x_disable_meta=True, disable_code=True, host="trainer", console="off"
        )
        config = {**HPARAMS, "layers": [64, 32], "note": "x" * 40_000, "nested": {"dropout": 0.5}}
        with wandb.init(
            project="flights", name="november", id="run1flights", config=config, dir=folder, settings=settings
        ) as run:
            data = wandb.Artifact("flights-2026-11", type="dataset")
            data.add_reference("https://example.com/flights.csv", checksum=False)
            run.log_artifact(data)
            for step in range(5):
                run.log({"loss": 1 / (step + 1), "val": {"auc": 0.7 + step / 50}, "phase": f"step {step}"})
            run.summary["best_auc"] = 0.81
        wandb.teardown()  # what is left to write is written then
        [found] = Path(folder).glob("wandb/offline-run-*")
        target = RUNS / "wandb" / "offline-run-20261130_120000-run1flights"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for file in found.glob("*.wandb"):
            shutil.copy(file, target / file.name)


def keras_run() -> None:
    """As the callbacks of Keras and of the HParams plugin write it."""
    import tensorflow as tf
    from tensorboard.plugins.hparams import api as hp

    folder = RUNS / "keras"
    shutil.rmtree(folder, ignore_errors=True)
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1, activation="sigmoid")])
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    rows = tf.random.stateless_uniform((64, 3), (1, 2))
    labels = tf.cast(tf.reduce_sum(rows, axis=1) > 1.5, tf.float32)
    calls = [
        tf.keras.callbacks.TensorBoard(folder, histogram_freq=1, write_graph=True),
        hp.KerasCallback(str(folder), HPARAMS),
    ]
    model.fit(rows, labels, validation_data=(rows, labels), epochs=3, verbose=0, callbacks=calls)
    with tf.summary.create_file_writer(str(folder)).as_default():
        tf.summary.scalar("best/auc", tf.constant(0.8125, tf.float64), step=3)
        tf.summary.image("picture", tf.zeros((1, 8, 8, 3)), step=0)


def writer_run() -> None:
    """The older form, with `simple_value`, as SummaryWriter writes it."""
    from tensorboardX import SummaryWriter

    folder = RUNS / "writer"
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for step in range(3):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_hparams(HPARAMS, {"hparam/auc": 0.8}, name="session")


if __name__ == "__main__":
    {"wandb": wandb_run, "keras": keras_run, "writer": writer_run}[sys.argv[1]]()
