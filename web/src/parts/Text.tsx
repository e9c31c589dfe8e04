// Text from anywhere as text nodes, with what cannot be seen made visible.
import { Fragment, memo } from "react";
import { isPlain, visiblePieces } from "./text";

export const Text = memo(function Text({ text }: { text: string }) {
  if (isPlain(text)) return text;
  return visiblePieces(text).map((piece, index) =>
    piece.marked ? (
      <span key={index} className="unseen" title="a character that is not visible">
        {piece.text}
      </span>
    ) : (
      <Fragment key={index}>{piece.text}</Fragment>
    ),
  );
});
