"""A spreadsheet program's part: reads a list of tags with openpyxl and writes it anew, edited.

    tag_list.py LIST.xlsx EDITED.xlsx ADDRESS SEMANTIC_ID

Gives the row with the address a semantic id. Prints {"rows": N, "formulas": N, "row": {..}}: the
cells of that row as openpyxl read them.
"""

import json
import sys

import openpyxl

source, target, address, meaning = sys.argv[1:]
book = openpyxl.load_workbook(source)
sheet = book.active
header = [cell.value for cell in sheet[1]]
formulas, found = 0, None
for row in sheet.iter_rows(min_row=2):
    formulas += sum(cell.data_type == "f" for cell in row)
    if row[header.index("address")].value == address:
        found = row
told = {name: cell.value for name, cell in zip(header, found, strict=True)}
found[header.index("semantic_id")].value = meaning
found[header.index("low")].value = -12.5
book.save(target)
print(json.dumps({"rows": sheet.max_row - 1, "formulas": formulas, "row": told}), flush=True)
