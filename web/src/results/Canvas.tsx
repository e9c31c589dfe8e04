// A place for one chart: it follows its size and its option. What it shows stands in a table beside it.
import type { EChartsType } from "echarts/core";
import { useEffect, useRef, useState } from "react";

interface CanvasProps {
  option: Record<string, unknown>;
  label: string;
  height?: number | undefined;
  /** Called once with the chart, to listen to it. */
  onReady?: (chart: EChartsType) => void;
}

export function Canvas({ option, label, height, onReady }: CanvasProps) {
  const place = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<EChartsType>();
  const ready = useRef(onReady);
  ready.current = onReady;
  useEffect(() => {
    let made: EChartsType | undefined;
    let isGone = false;
    const observer = new ResizeObserver(() => made?.resize());
    void import("./echarts").then(({ start }) => {
      if (isGone || !place.current) return;
      made = start(place.current);
      // For those who wait for the picture, tests above all: it says when it is whole.
      made.on("finished", () => place.current?.setAttribute("data-drawn", "yes"));
      observer.observe(place.current);
      ready.current?.(made);
      setChart(made);
    });
    return () => {
      isGone = true;
      observer.disconnect();
      made?.dispose();
      setChart(undefined);
    };
  }, []);
  useEffect(() => {
    place.current?.removeAttribute("data-drawn");
    chart?.setOption(option, { notMerge: true });
  }, [chart, option]);
  return <div ref={place} className="canvas" role="img" aria-label={label} style={height ? { height } : undefined} />;
}
