"""Folder layouts of the benchmarks, with one writer each."""

from flowdistill.render.layouts.chairs import Chairs
from flowdistill.render.layouts.kitti2012 import Kitti2012
from flowdistill.render.layouts.kitti2015 import Kitti2015
from flowdistill.render.layouts.layout import Layout
from flowdistill.render.layouts.sintel import Sintel
from flowdistill.render.layouts.things import Things
from flowdistill.render.layouts.things_subset import ThingsSubset

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (Kitti2015(), Kitti2012(), Things(), ThingsSubset(), Chairs(), Sintel())
}

__all__ = ["LAYOUTS", "Layout"]
