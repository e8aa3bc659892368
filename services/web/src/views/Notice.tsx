/** Something went wrong with the whole view. */
export function Notice({ title, text, retry }: { title: string; text: string; retry?: () => void }) {
  return (
    <main class="notice">
      <h1>{title}</h1>
      <p role="alert">{text}</p>
      <p class="actions">
        {retry && (
          <button class="button primary" onClick={retry}>
            Try again
          </button>
        )}
        <a class="button" href="#/">
          All jobs
        </a>
      </p>
    </main>
  );
}
