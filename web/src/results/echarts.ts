// The parts of the chart library that are used; loaded with the first chart.
import { BarChart, CustomChart, LineChart, PieChart, ScatterChart } from "echarts/charts";
import { AriaComponent, BrushComponent, DataZoomComponent, GridComponent, LegendComponent, TitleComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([
  BarChart, CustomChart, LineChart, PieChart, ScatterChart, AriaComponent, BrushComponent, DataZoomComponent, GridComponent,
  LegendComponent, TitleComponent, TooltipComponent, CanvasRenderer,
]);

export function start(place: HTMLElement): EChartsType {
  return init(place);
}
