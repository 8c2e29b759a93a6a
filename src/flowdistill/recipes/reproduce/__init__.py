"""`make reproduce-kitti`: both papers' pipelines on KITTI, in stages that can be resumed."""
