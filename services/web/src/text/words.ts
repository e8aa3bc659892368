/** How times, numbers and names are said to people. The report says them alike (services/exports/words.py). */

/** A moment in seconds: 0:03.5 or 1:02:03.5; `digits` after the point. */
export function clock(seconds: number, digits = 1): string {
  const unit = 10 ** digits;
  const units = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(units / unit);
  const rest = digits ? `.${String(units % unit).padStart(digits, "0")}` : "";
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes, short] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, two(whole % 60) + rest];
  return hours ? `${hours}:${two(minutes)}:${short}` : `${minutes}:${short}`;
}

/** A span in seconds: 0:03.5–0:07.0. */
export function between(start: number, end: number): string {
  return `${clock(start)}–${clock(end)}`;
}

/** Three significant digits or all before the point, with a true minus sign. */
export function number(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  const text = value.toLocaleString("en", { maximumFractionDigits: digits });
  return text === "-0" ? "0" : text.replace("-", "−");
}

/** A number with its unit; the unit 1 is none, shares are percent. */
export function measure(value: number | null, unit: string): string {
  if (value === null) return "not measured";
  if (unit === "share") return `${number(value * 100)} %`;
  return unit === "1" || unit === "" ? number(value) : `${number(value)} ${unit}`;
}

/** A name from the code as words. */
export function plain(name: string): string {
  return name.replaceAll("_", " ");
}

/** The same with a capital first letter. */
export function title(name: string): string {
  const words = plain(name);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A length of time for people: 8.4 s, 3 min 20 s, 2 h 5 min. */
export function lasting(seconds: number): string {
  if (seconds < 60) return `${number(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
  const minutes = Math.floor(whole / 60);
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** A size of a file. */
export function bytes(size: number): string {
  if (size < 1e6) return `${number(size / 1e3)} kB`;
  return size < 1e9 ? `${number(size / 1e6)} MB` : `${number(size / 1e9)} GB`;
}

/** One thing, many things. */
export function count(many: number, one: string, several = `${one}s`): string {
  return `${number(many)} ${many === 1 ? one : several}`;
}
