// Tells a text that comes back to an editor from one that came from elsewhere. On a busy machine the page draws an earlier
// text when the editor holds a later one already: put into the editor, it would take back what was typed meanwhile.

export class Echoes {
  /** What the editor told the page and has not seen again, the oldest first. */
  private told: string[] = [];

  /** Notes what the editor tells the page. */
  tell(text: string): void {
    this.told.push(text);
  }

  /** Whether a text that the page draws is what the editor told it. */
  has(text: string): boolean {
    const at = this.told.lastIndexOf(text);
    // Texts told before this one are drawn no more.
    this.told = at < 0 ? [] : this.told.slice(at + 1);
    return at >= 0;
  }
}
