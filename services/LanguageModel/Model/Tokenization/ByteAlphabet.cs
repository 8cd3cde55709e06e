using System.Text;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// GPT-2's mapping of every byte to one visible character (openai/gpt-2, encoder.py, bytes_to_unicode): printable Latin-1
/// characters are kept, and the other 68 bytes are mapped to U+0100 and up. The tokens of a byte-level vocabulary are written in
/// this alphabet.
/// </summary>
public static class ByteAlphabet
{
    private static readonly char[] Characters = MakeCharacters();
    private static readonly short[] Bytes = MakeBytes();

    public static char CharacterOf(byte value) => Characters[value];

    /// <summary>
    /// The bytes of a token: those that its characters are mapped from or, if a character is not in the alphabet, its UTF-8
    /// bytes, as Hugging Face decodes them.
    /// </summary>
    public static byte[] BytesOf(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (token[i] >= Bytes.Length || Bytes[token[i]] < 0) return Encoding.UTF8.GetBytes(token);
            bytes[i] = (byte)Bytes[token[i]];
        }

        return bytes;
    }

    private static char[] MakeCharacters()
    {
        var characters = new char[256];
        var moved = 0;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            characters[value] = printable ? (char)value : (char)(256 + moved++);
        }

        return characters;
    }

    private static short[] MakeBytes()
    {
        var bytes = new short[Characters.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (var value = 0; value < 256; value++) bytes[Characters[value]] = (short)value;
        return bytes;
    }
}
