"""The loop around training steps: progress, checkpoints, signals."""

import logging
import time

from shadowmill import progress
from shadowmill.errors import Interrupted
from shadowmill.training.checkpoint import Checkpoint, Interruption, Trainer

log = logging.getLogger(__name__)


def run(trainer: Trainer, title: str, interruption: Interruption, saved: Checkpoint) -> None:
    """Take all steps that are left.

    Args:
        trainer: what is trained.
        title: what the progress bar calls it.
        interruption: asks for checkpoints, and to stop.
        saved: where checkpoints are written.

    Raises:
        Interrupted: asked to stop by a signal; a checkpoint was written.
    """
    with progress.bar(
        total=trainer.total_steps, initial=trainer.step, desc=title, unit="step"
    ) as bar:
        while not trainer.is_finished:
            start = time.monotonic()
            trainer.train_step()
            trainer.seconds += time.monotonic() - start
            bar.update()
            if interruption.requested:
                saved.save(trainer)
                raise Interrupted(
                    f"asked to stop at step {trainer.step} of {trainer.total_steps}; a checkpoint "
                    "was written. Rerun the workflow to continue from there."
                )
            if interruption.checkpoint_is_due():
                saved.save(trainer)
            if trainer.step % trainer.steps_per_epoch == 0:
                bar.set_postfix(trainer.progress())
    log.info("trained %s: %s", title, bar.postfix)


def run_from_checkpoint(
    trainer: Trainer, title: str, interruption: Interruption, saved: Checkpoint
) -> None:
    """Go on from the checkpoint, if there is one, to the end, and keep the state that is reached.

    So a rerun need not train again, whatever happens to what is written after this. Arguments and
    errors are those of `run`.
    """
    if saved.restore(trainer):
        log.info("continuing at step %d of %d", trainer.step, trainer.total_steps)
    run(trainer, title, interruption, saved)
    saved.save(trainer)
