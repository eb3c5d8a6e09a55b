# The published training for a frozen RetinaNet of MMDetection (docs/frameworks.md).
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["npp.integrations.openmmlab"], allow_failed_imports=False)
weights = (
    "https://download.openmmlab.com/mmdetection/v2.0/retinanet/"
    "retinanet_r50_fpn_1x_coco/retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth"
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
