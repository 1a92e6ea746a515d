"""Contact sheets: several pictures on one, with captions."""
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .pixels import as_array, as_image
from .resizing import resize

PAPER, INK, FAINT_INK = (250, 250, 248), (34, 34, 34), (112, 112, 112)


def contact_sheet(pictures, captions=None, columns=None, scale=1, margin=16, title=None, method="bicubic",
                  font_size=14):
    """Many pictures on one sheet, captions below them, as a uint8 array (height, width, 3).

    pictures   float 0..1 or uint8, not necessarily of one size
    captions   a text for each, several lines allowed; lines after the first are fainter
    columns    None chooses a sheet that is wider than high with few empty places
    scale      enlargement of each picture, by `method`: "bicubic" is smooth, "nearest" shows the pixels
    margin     pixels around and between;  title: a larger line on top;  font_size: of the captions, in pixels
    Raises ValueError when there are no pictures or another number of captions.
    """
    images = [_enlarged(picture, scale, method) for picture in pictures]
    captions = [""] * len(images) if captions is None else [str(caption) for caption in captions]
    if not images or len(captions) != len(images):
        raise ValueError(f"contact_sheet: {len(images)} pictures and {len(captions)} captions; "
                         "give at least one picture, and a caption for each or none")
    columns = min(columns or _columns(len(images)), len(images))
    cells = [_cell(image, caption, font_size) for image, caption in zip(images, captions)]
    return np.asarray(_with_title(_grid(cells, columns, margin), title, margin, round(font_size * 1.5)))


def _columns(count):
    """Between a square and twice as wide as high, the number that leaves the fewest places of the last row empty."""
    root = math.ceil(math.sqrt(count))
    return min(range(root, max(root, math.isqrt(4 * count)) + 1), key=lambda columns: -count % columns)


def _enlarged(picture, scale, method):
    picture = as_array(picture)
    image = as_image(picture, "the contact sheet")
    if scale == 1:
        return image.convert("RGB")
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return as_image(resize(picture, (height, width), method), "the contact sheet").convert("RGB")


def _cell(image, caption, font_size):
    """The picture with its caption centred below it, on a piece of paper just large enough."""
    lines, font, line_height = caption.splitlines(), ImageFont.load_default(font_size), round(font_size * 1.3)
    width = max([image.width] + [math.ceil(font.getlength(line)) for line in lines])
    text_height = len(lines) * line_height + (font_size // 2 if lines else 0)
    cell = Image.new("RGB", (width, image.height + text_height), PAPER)
    cell.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(cell)
    for i, line in enumerate(lines):
        y = image.height + font_size // 2 + i * line_height
        draw.text((width / 2, y), line, INK if i == 0 else FAINT_INK, font, anchor="ma")
    return cell


def _grid(cells, columns, margin):
    """Cells in rows; all columns as wide as the widest cell, each row as high as its highest."""
    rows = [cells[i:i + columns] for i in range(0, len(cells), columns)]
    cell_width = max(cell.width for cell in cells)
    heights = [max(cell.height for cell in row) for row in rows]
    size = margin + columns * (cell_width + margin), margin + sum(height + margin for height in heights)
    sheet, y = Image.new("RGB", size, PAPER), margin
    for row, height in zip(rows, heights):
        for i, cell in enumerate(row):
            sheet.paste(cell, (margin + i * (cell_width + margin) + (cell_width - cell.width) // 2, y))
        y += height + margin
    return sheet


def _with_title(sheet, title, margin, font_size):
    if not title:
        return sheet
    font, band = ImageFont.load_default(font_size), margin + round(font_size * 1.3)
    width = max(sheet.width, math.ceil(font.getlength(title)) + 2 * margin)
    titled = Image.new("RGB", (width, sheet.height + band), PAPER)
    titled.paste(sheet, ((width - sheet.width) // 2, band))
    ImageDraw.Draw(titled).text((margin, margin), title, INK, font, anchor="la")
    return titled
