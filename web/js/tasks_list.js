// A list of any length that only has the rows in view. Rows are kept by key, so that pictures do not flicker.

export class VirtualList {
  /**
   * @param {HTMLElement} element scrolls
   * @param {number} height of a row, pixels
   * @param {(item: any, old: HTMLElement | null) => HTMLElement} draw makes or refreshes a row
   */
  constructor(element, height, draw) {
    this.element = element;
    this.height = height;
    this.draw = draw;
    this.items = [];
    this.rows = new Map();
    this.spacer = document.createElement("div");
    element.append(this.spacer);
    this.onScroll = () => this.later();
    element.addEventListener("scroll", this.onScroll, { passive: true });
    this.observer = new ResizeObserver(() => this.later());
    this.observer.observe(element);
  }

  /** Show other items; each has an `id`. */
  set(items) {
    this.items = items;
    this.spacer.style.height = `${items.length * this.height}px`;
    this.show();
  }

  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.show();
    });
  }

  show() {
    const from = Math.max(0, Math.floor(this.element.scrollTop / this.height) - 3);
    const shown = Math.ceil((this.element.clientHeight || 600) / this.height) + 6;
    const wanted = new Map();
    for (let number = from; number < Math.min(from + shown, this.items.length); number++) {
      const item = this.items[number];
      const row = this.draw(item, this.rows.get(item.id) ?? null);
      row.style.top = `${number * this.height}px`;
      wanted.set(item.id, row);
      if (row.parentNode !== this.element) this.element.append(row);
    }
    for (const [id, row] of this.rows) if (wanted.get(id) !== row) row.remove();
    this.rows = wanted;
  }

  close() {
    this.observer.disconnect();
    this.element.removeEventListener("scroll", this.onScroll);
    if (this.waiting) cancelAnimationFrame(this.waiting);
  }
}
