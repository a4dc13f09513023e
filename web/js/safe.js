// Failures of the pack stay in the pack: logged once per place, never thrown into the host's code.

const told = new Set();

/** Log a failure once per place. */
export function report(place, error) {
  if (told.has(place)) return;
  told.add(place);
  console.warn(`[Img Open] ${place}:`, error);
}

/** The function, except that an exception (or a rejected promise) is reported and becomes undefined. */
export function safe(place, work) {
  return function (...args) {
    try {
      const result = work.apply(this, args);
      if (result && typeof result.then === "function") {
        return result.then(undefined, (error) => report(place, error));
      }
      return result;
    } catch (error) {
      report(place, error);
      return undefined;
    }
  };
}

/** Let `after(this, args)` run after a method of an object, which keeps its own result and exceptions. */
export function afterMethod(target, name, place, after) {
  const before = target[name];
  const guarded = safe(place, after);
  target[name] = function (...args) {
    const result = before?.apply(this, args);
    guarded.call(this, args);
    return result;
  };
}
