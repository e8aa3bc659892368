/** Files that the build copies and names by their content. */
declare module "*.svg" {
  const address: string;
  export default address;
}
