using System.Security.Cryptography;

namespace Flamingo.Configuration.Certificates;

/// <summary>A PEM file that an option names.</summary>
/// <param name="Option">Name of the option, for messages, for example <c>Tls:CertificateFile</c>.</param>
/// <param name="Path">Path of the file, as the operator gave it.</param>
public sealed record PemFile(string Option, string Path)
{
    /// <summary>Certificates and keys take a few KiB. A file above this size is no such file, and is not read into memory.</summary>
    private const int MostBytes = 4 << 20;

    /// <returns>The whole file as text.</returns>
    /// <exception cref="InvalidDataException">The file cannot be read; the message names the option, the file and the remedy.</exception>
    public string Read()
    {
        try
        {
            var file = new FileInfo(Path);
            if (Directory.Exists(Path)) throw Fault("it is a folder", "Give the path of a PEM file in it");
            if (!file.Exists) throw Fault("there is no such file", "Give the path of a PEM file that this process can read");
            if (file.Length > MostBytes) throw Fault($"it has {file.Length} bytes, and no PEM file is that large", "Give a PEM file");
            return File.ReadAllText(Path);
        }
        catch (UnauthorizedAccessException)
        {
            throw Fault("this process may not read it", "Let the user of the process read it");
        }
        catch (IOException exception)
        {
            throw Fault(exception.Message.TrimEnd('.'), "Give the path of a PEM file that this process can read");
        }
    }

    /// <summary>The exception to throw for this file. Its message quotes nothing of the file, because it may hold a key.</summary>
    /// <param name="problem">A clause about the file, without a full stop.</param>
    /// <param name="remedy">What the operator does about it, without a full stop.</param>
    public InvalidDataException Fault(string problem, string remedy) => new($"{Option} is '{Path}': {problem}. {remedy}.");

    /// <summary>Calls a function that reads the file's text, and translates what it throws about damaged text.</summary>
    internal T Parse<T>(Func<T> read, string problem, string remedy)
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException)
        {
            throw Fault(problem, remedy);
        }
    }
}
