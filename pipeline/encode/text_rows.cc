// NativeEncoder's reading of TSV and CSV. Of a row that ClickHouse has different rules for at the
// beginning and within an insert, those for the beginning hold: a message is an insert of its own.
#include <algorithm>
#include <bit>

#include "pipeline/encode/native_encoder.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace {
namespace {

// The first of three characters, or the end. Reads ahead.
const char* find_first_of(const char* at, const char* end, char a, char b, char c) {
#if defined(__SSE2__)
  const __m128i as = _mm_set1_epi8(a), bs = _mm_set1_epi8(b), cs = _mm_set1_epi8(c);
  for (; at < end; at += sizeof as) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i found =
        _mm_or_si128(_mm_cmpeq_epi8(bytes, as),
                     _mm_or_si128(_mm_cmpeq_epi8(bytes, bs), _mm_cmpeq_epi8(bytes, cs)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(found));
    if (mask != 0) return std::min(at + std::countr_zero(mask), end);
  }
  return end;
#else
  while (at < end && *at != a && *at != b && *at != c) ++at;
  return at;
#endif
}

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20; }

// What a letter means behind a backslash. One that means nothing keeps its backslash.
void append_escaped(char c, ColumnBytes& out) {
  constexpr std::string_view kLetters = "abefnrtv0", kMeant("\a\b\x1b\f\n\r\t\v\0", 9);
  const std::size_t known = kLetters.find(c);
  if (known != kLetters.npos) return out.append_value(kMeant[known]);
  constexpr std::string_view kStandForThemselves = "\\`\"'/=";
  if (kStandForThemselves.find(c) == kStandForThemselves.npos && !is_control(c)) {
    out.append_value('\\');
  }
  out.append_value(c);
}

// Up to the tab or newline that ends the field. The newline behind a message counts, too.
void unescape_tab_field(JsonCursor& in, ColumnBytes& out) {
  while (true) {
    const char* stop = find_first_of(in.at, in.end, '\t', '\n', '\\');
    out.append(between(in.at, stop));
    in.at = stop;
    if (!in.take('\\')) return;
    if (in.done()) return out.append_value('\n');
    const char c = *in.at++;
    if (c == 'N') continue;
    if (c != 'x') {
      append_escaped(c, out);
      continue;
    }
    if (in.done()) in.refuse("two digits are expected behind \\x", Refused::kEscape);
    const unsigned high = hex_digit(*in.at++), low = hex_digit(in.done() ? '\n' : *in.at);
    out.append_value(static_cast<char>(high * 16 + low));
    if (in.done()) return;
    ++in.at;
  }
}

bool ends_line(const JsonCursor& in) { return in.done() || *in.at == '\n' || *in.at == '\r'; }

void skip_blanks(JsonCursor& in) {
  while (!in.done() && is_blank(*in.at)) ++in.at;
}

std::string_view without_blanks_behind(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Behind the quote that opens. Two quotes are one; where none closes the text ends with the
// message, and with the newline behind it.
void unquote(JsonCursor& in, ColumnBytes& out) {
  while (true) {
    const char* stop = std::find(in.at, in.end, '"');
    out.append(between(in.at, stop));
    in.at = stop;
    if (!in.take('"')) break;
    if (!in.take('"')) return;
    out.append_value('"');
  }
  if (in.end[-1] != '\n') out.append_value('\n');
}

}  // namespace

void NativeEncoder::read_text_rows(JsonCursor& in) {
  if (plan_->skips_byte_order_mark()) in.skip_byte_order_mark();
  do {
    if (plan_->format() == RowFormat::kTabs) {
      read_tab_row(in);
    } else {
      read_comma_row(in);
    }
    end_row(in);
    ++row_of_message_;
  } while (!in.done());
}

// The value that `text` is the whole of.
void NativeEncoder::read_text_value(Field& field, std::string_view text, Behind behind,
                                    Refused if_more) {
  JsonCursor in(text);
  field.writer->read_text(in);
  if (behind == Behind::kBlanks) skip_blanks(in);
  if (!in.done()) in.refuse("the value ends before its field does", if_more);
}

// The same with what is in unescaped_, for a field that begins at `place`.
void NativeEncoder::read_unescaped(Field& field, const char* place) {
  unescaped_.ensure(kReadAhead);
  try {
    read_text_value(field, unescaped_.view(), Behind::kNothing);
  } catch (JsonRefusal& refusal) {
    refusal.at = place;
    throw;
  }
}

// As a null that a column without nulls gets: the DEFAULT, or that of the type.
void NativeEncoder::append_null(Field& field, JsonCursor& in) {
  if (field.column->takes_null) {
    field.writer->append_default();
  } else {
    append_empty(field, in);
  }
}

void NativeEncoder::append_empty(Field& field, JsonCursor& in) {
  if (field.column->has_default) {
    append_missing(field);
  } else {
    field.writer->append_for_null(in);
  }
}

void NativeEncoder::read_tab_row(JsonCursor& in) {
  const char* start = in.at;
  for (Field& field : fields_) {
    if (&field != &fields_.front()) in.expect('\t');
    reading_ = &field;
    read_tab_field(field, in);
    reading_ = nullptr;
  }
  if (row_of_message_ == 0 && (in.peek() == '\r' || (in.at > start && in.at[-1] == '\r'))) {
    in.refuse("the line ends in a carriage return", Refused::kData);
  }
  if (!in.done()) in.expect('\n');
}

void NativeEncoder::read_tab_field(Field& field, JsonCursor& in) {
  const char* start = in.at;
  const char* stop = find_first_of(start, in.end, '\t', '\n', '\\');
  if (stop < in.end && *stop == '\\') {
    const bool null = in.left() >= 2 && start == stop && start[1] == 'N' &&
                      (in.left() == 2 || start[2] == '\t' || start[2] == '\n');
    if (null) {
      in.at += 2;
      return append_null(field, in);
    }
    if (field.column->text_form == TextForm::kAny) {
      unescaped_.truncate(0);
      unescape_tab_field(in, unescaped_);
      return read_unescaped(field, start);
    }
    // To the readers of other values a backslash is a character as any: 2024\05\30 is a time.
    stop = find_first_of(stop, in.end, '\t', '\n', '\n');
  }
  try {
    read_text_value(field, between(start, stop), Behind::kNothing);
  } catch (JsonRefusal& refusal) {
    const bool ends_in_return = row_of_message_ == 0 && stop > start && stop[-1] == '\r';
    if (ends_in_return && refusal.code == Refused::kSyntax) refusal.code = Refused::kData;
    throw;
  }
  in.at = stop;
}

void NativeEncoder::read_comma_row(JsonCursor& in) {
  for (Field& field : fields_) {
    skip_blanks(in);
    if (&field != &fields_.front()) {
      in.expect(',');
      skip_blanks(in);
    }
    reading_ = &field;
    read_comma_field(field, in, &field == &fields_.back());
    reading_ = nullptr;
  }
  skip_blanks(in);
  if (in.take(',')) skip_blanks(in);
  if (in.take('\n')) {
    in.take('\r');
  } else if (in.take('\r')) {
    if (!in.done()) in.expect('\n');
  } else if (!in.done()) {
    in.refuse("the end of the line is expected", Refused::kData);
  }
}

void NativeEncoder::read_comma_field(Field& field, JsonCursor& in, bool last) {
  if (in.peek() == ',' || (last && ends_line(in))) return append_empty(field, in);
  if (ends_line(in))
    in.refuse("the row has fewer values than the table has columns", Refused::kSyntax);
  const char* start = in.at;
  if (*start == '\\' && in.left() >= 2 && start[1] == 'N') {
    in.at += 2;
    if (ends_line(in) || in.peek() == ',') return append_null(field, in);
    in.at = start;
  }
  const TextForm form = field.column->text_form;
  if ((*start == '"' && form != TextForm::kBare) ||
      (*start == '\'' && form == TextForm::kQuotable)) {
    return read_quoted_field(field, in);
  }
  const char* stop = find_first_of(start, in.end, ',', '\r', '\n');
  // A carriage return within a line is a character of the value.
  while (in.end - stop > 1 && *stop == '\r' && stop[1] != '\n') {
    stop = find_first_of(stop + 1, in.end, ',', '\r', '\n');
  }
  const std::string_view text = between(start, stop);
  // Strings lose the blanks behind them, of other values they stand behind.
  if (form == TextForm::kAny) {
    read_text_value(field, without_blanks_behind(text), Behind::kNothing);
  } else {
    read_bare_field(field, text, last);
  }
  in.at = stop;
}

void NativeEncoder::read_bare_field(Field& field, std::string_view text, bool last) {
  const bool bare = field.column->text_form == TextForm::kBare;
  try {
    read_text_value(field, text, bare ? Behind::kNothing : Behind::kBlanks,
                    last ? Refused::kData : Refused::kSyntax);
  } catch (JsonRefusal& refusal) {
    const bool more = refusal.code == Refused::kData || refusal.code == Refused::kSyntax;
    if (more && field.column->whole_in_csv) refusal.code = Refused::kBehindValue;
    throw;
  }
}

void NativeEncoder::read_quoted_field(Field& field, JsonCursor& in) {
  const char* start = in.at;
  const char quote = *in.at++;
  const bool any = field.column->text_form == TextForm::kAny;
  const char* stop = std::find(in.at, in.end, quote);
  if (stop == in.end && !any) in.refuse("the quoted value has no end", Refused::kSyntax);
  if (stop != in.end && (!any || stop + 1 == in.end || stop[1] != quote)) {
    read_text_value(field, between(in.at, stop), Behind::kNothing);
    in.at = stop + 1;
    return;
  }
  unescaped_.truncate(0);
  unquote(in, unescaped_);
  read_unescaped(field, start);
}

}  // namespace millrace
