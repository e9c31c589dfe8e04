// Light and dark. The colours are Fluent's with Moneta's amber as brand; charts take theirs from here too.
import {
  createDarkTheme,
  createLightTheme,
  type BrandVariants,
  type Theme,
} from "@fluentui/react-components";

const brand: BrandVariants = {
  10: "#080300", 20: "#221304", 30: "#381d05", 40: "#492604", 50: "#5b2f03", 60: "#6d3903", 70: "#804303", 80: "#8f4e04",
  90: "#a75f0a", 100: "#bb7119", 110: "#cf832b", 120: "#e1963f", 130: "#efaa58", 140: "#f8be76", 150: "#fdd29a",
  160: "#ffe6c5",
};

export const lightTheme: Theme = createLightTheme(brand);
export const darkTheme: Theme = {
  ...createDarkTheme(brand),
  // Text in the brand colour has to be read on dark ground.
  colorBrandForeground1: brand[130],
  colorBrandForeground2: brand[140],
  colorBrandForegroundLink: brand[130],
  colorBrandForegroundLinkHover: brand[140],
  // So has text that warns, on a card and on a chosen line.
  colorStatusDangerForeground1: "#f1939a",
};

export type ThemeChoice = "system" | "light" | "dark";

/** The colours of series: told apart on light and on dark ground, also by people who do not see red and green. */
export const SERIES = ["#4e79d8", "#d07d1f", "#3a9d8f", "#b2589a", "#7a8c2e", "#8a6fd1", "#c25b4e", "#4f97b8", "#9a7b4f", "#7f8794"];

/** The colour of a severity: the word stands beside it always. */
export const SEVERITY_COLOUR: Record<string, string> = {
  High: "#c4314b",
  Medium: "#d07d1f",
  Low: "#4e79d8",
  Informational: "#7f8794",
};
