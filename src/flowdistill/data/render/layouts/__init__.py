"""The folder layouts of the benchmarks: one renderer, one small writer for each."""

from flowdistill.data.render.layouts.chairs import Chairs
from flowdistill.data.render.layouts.kitti2012 import Kitti2012
from flowdistill.data.render.layouts.kitti2015 import Kitti2015
from flowdistill.data.render.layouts.layout import Layout
from flowdistill.data.render.layouts.sintel import Sintel
from flowdistill.data.render.layouts.things import Things
from flowdistill.data.render.layouts.things_subset import ThingsSubset

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (Kitti2015(), Kitti2012(), Things(), ThingsSubset(), Chairs(), Sintel())
}

__all__ = ["LAYOUTS", "Layout"]
