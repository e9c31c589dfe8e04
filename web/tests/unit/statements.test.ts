import { describe, expect, test } from "vitest";
import { blockAt, blocks, histogramQuery, isCommand, limitsTime, maskQuoted, withFilter } from "../../src/query/statements";

describe("blocks", () => {
  test("blank lines divide, lines of comments do not", () => {
    const text = "A\n| take 1\n\n\n// about B\nB\n";
    expect(blocks(text).map((block) => block.text)).toEqual(["A\n| take 1", "// about B\nB"]);
    for (const block of blocks(text)) expect(text.slice(block.start, block.end)).toBe(block.text);
  });
  test("a blank line inside a long string divides nothing", () => {
    const text = "print x = ```a\n\nb```\n| take 1\n\nB";
    expect(blocks(text).map((block) => block.text)).toEqual(["print x = ```a\n\nb```\n| take 1", "B"]);
  });
  test("the cursor chooses the block it is in, else the one before", () => {
    const text = "A\n\nB\n\n";
    expect(blockAt(text, 0)?.text).toBe("A");
    expect(blockAt(text, 1)?.text).toBe("A");
    expect(blockAt(text, 3)?.text).toBe("B");
    expect(blockAt(text, text.length)?.text).toBe("B");
    expect(blockAt("  \n", 1)).toBeUndefined();
  });
});

test("quotes and comments are masked, and nothing moves", () => {
  for (const text of [`T | where a == "x | y" // z | w`, `T | where a == @'c:\\' | take 1`, `h'secret' + "a\\"b"`, "'unclosed\nT | take 1"]) {
    expect(maskQuoted(text)).toHaveLength(text.length);
  }
  expect(maskQuoted(`T | where a == "x | y" | take 1`)).toBe(`T | where a ==         | take 1`);
  expect(maskQuoted(`a == @'c:\\' | b`)).toBe("a ==        | b");
});

test("a time in the text is seen, in a string or comment it is not", () => {
  expect(limitsTime("T | where TimeGenerated > ago(1h)")).toBe(true);
  expect(limitsTime("T | where TimeGenerated between (ago(2h) .. ago(1h))")).toBe(true);
  expect(limitsTime("T | summarize max(TimeGenerated)")).toBe(false);
  expect(limitsTime("T | where a == 'TimeGenerated > 1'")).toBe(false);
  expect(limitsTime("T // TimeGenerated > ago(1h)")).toBe(false);
});

test("commands begin with a point", () => {
  expect(isCommand(".show tables")).toBe(true);
  expect(isCommand("T | where a == '.show'")).toBe(false);
});

describe("the histogram's query", () => {
  const tail = "\n| summarize Events = count() by TimeGenerated = bin(TimeGenerated, 1h)\n| order by TimeGenerated asc";
  test.each([
    ["T", "T"],
    ["T\n| where a > 1\n| summarize count()", "T\n| where a > 1"],
    ["T | where a == '|' and (b | c) | project x", "T | where a == '|' and (b | c)"],
    ["let x = 5;\nT | where a == x | take 3;", "let x = 5;\nT | where a == x"],
    ["['My Table'] | take 5", "['My Table']"],
    ["union A, B | where c == 1", "union A, B | where c == 1"],
  ])("%s", (text, kept) => expect(histogramQuery(text, "1h")).toBe(kept + tail));
  test.each(["print 1", "range x from 1 to 2 step 1", "datatable(a:int)[1]", "", "// nothing"])("none for %s", (text) =>
    expect(histogramQuery(text, "1h")).toBeUndefined(),
  );
});

test("a filter goes to the end of a statement", () => {
  expect(withFilter("T | take 5;\n", "a == 1")).toBe("T | take 5\n| where a == 1");
});

test("what a statement needs stays with it over blank lines", () => {
  const text = "let a = 1; // one\n\nlet b = 2;\n\nT\n\n| where x == a\n\nprint 'a;'\n\nprint b";
  expect(blocks(text).map((block) => block.text)).toEqual(["let a = 1; // one\n\nlet b = 2;\n\nT\n\n| where x == a", "print 'a;'", "print b"]);
  for (const block of blocks(text)) expect(text.slice(block.start, block.end)).toBe(block.text);
});
