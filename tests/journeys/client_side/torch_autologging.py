"""Autologging of PyTorch, through Lightning."""

from __future__ import annotations

import lightning
import mlflow
import torch
from mlflow import MlflowClient
from story import PREFIX, check, step

client = MlflowClient()


class Line(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)

    def training_step(self, batch: list[torch.Tensor], at: int) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@step()
def pytorch_through_lightning() -> None:
    mlflow.set_experiment(f"{PREFIX}.torch")
    mlflow.pytorch.autolog()
    torch.manual_seed(0)
    inputs = torch.randn(32, 2)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
    model = Line()
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False)
    with mlflow.start_run() as run:
        trainer.fit(model, data)
    read = client.get_run(run.info.run_id)
    check({"epochs", "optimizer_name"} <= set(read.data.params), read.data.params)
    check("train_loss_epoch" in read.data.metrics or "train_loss" in read.data.metrics, read.data.metrics)
    address = f"models:/{read.outputs.model_outputs[-1].model_id}"
    loaded = mlflow.pytorch.load_model(address)
    check(torch.allclose(loaded(inputs), model(inputs)))
