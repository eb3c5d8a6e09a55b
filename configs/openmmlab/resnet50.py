# The published training for a frozen ResNet-50 of MMPretrain (docs/frameworks.md).
_base_ = "mmpretrain::resnet/resnet50_8xb32_in1k.py"
custom_imports = dict(imports=["npp.integrations.openmmlab"], allow_failed_imports=False)
weights = (
    "https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth"
)
preprocessor = dict(network="gains")
model = dict(
    _delete_=True, type="CodedModel", model=_base_.model, checkpoint=weights, preprocessor=preprocessor
)
optimizer = dict(type="AdamW", lr=1e-3)
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=optimizer, clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, T_max=5000)]
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=5000, val_interval=1000)
val_evaluator = [_base_.val_evaluator, dict(type="BppMetric")]
test_evaluator = val_evaluator
test_cfg = dict(type="QPSweepLoop", qps=[25, 28, 31, 34, 37, 40, 44])
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000))
log_processor = dict(by_epoch=False)
custom_hooks = [dict(type="RecipeHook")]
