// Hands the map's colours and marks over to the code that came with its points, now or once that is there.

const hub = (globalThis[Symbol.for("loupe.feature-map")] ??= { waiting: [] });

export default function component(given) {
  if (hub.take) hub.take(given);
  else hub.waiting.push(given);
  return () => hub.leave?.(given.parentElement);
}
