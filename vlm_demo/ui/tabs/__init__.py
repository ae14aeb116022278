"""The tabs of the page, one file each: `build(page)` puts the components in and wires them."""
