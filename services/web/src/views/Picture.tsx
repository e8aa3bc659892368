import type { CSSProperties } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** How long after each failure a picture is asked for again: the service makes only so many at once (429, 503). */
const AGAIN_MS = [1000, 2000, 4000];

interface Attributes {
  src: string;
  alt: string;
  class?: string;
  style?: CSSProperties;
  loading?: "lazy";
  fetchpriority?: "low";
  draggable?: boolean;
  onMissing?: () => void;
}

/** A picture that the service makes. `onMissing` is called where it has not come after all. */
export function Picture({ src, onMissing, ...rest }: Attributes) {
  const [failures, setFailures] = useState(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    setFailures(0);
    return () => clearTimeout(timer.current);
  }, [src]);

  const fail = () => {
    if (failures < AGAIN_MS.length) timer.current = setTimeout(() => setFailures(failures + 1), AGAIN_MS[failures]);
    else onMissing?.();
  };
  return <img key={failures} {...rest} src={src} onError={fail} />;
}
