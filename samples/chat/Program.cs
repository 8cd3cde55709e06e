// A chat about pictures over IChatClient of Microsoft.Extensions.AI. Nothing below the first lines knows which model answers.
using Flamingo.Abstractions;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

// One line registers the client, and with it IChatClient. A web application writes it in its Program.cs as well.
await using var services = new ServiceCollection()
    .AddFlamingoClient(args is [var address] ? address : "http://localhost:8080")
    .BuildServiceProvider();
var chat = services.GetRequiredService<IChatClient>();

Console.WriteLine("A line is a question. '/picture FILE' puts a picture before the next question, '/new' starts again, Ctrl-D ends.");

// The service keeps no conversation: every request has all messages. What was sent and computed before is neither sent nor computed again.
var messages = new List<ChatMessage>();
var pictures = new List<AIContent>();
while (Read() is { } line)
{
    if (line == "/new") (messages, pictures) = ([], []);
    else if (line.StartsWith("/picture ", StringComparison.Ordinal)) AddPicture(line["/picture ".Length..].Trim());
    else if (line.Trim().Length > 0) await AskAsync(line);
}

async Task AskAsync(string question)
{
    messages.Add(new ChatMessage(ChatRole.User, [.. pictures, new TextContent(question)]));
    pictures = [];
    try
    {
        var updates = new List<ChatResponseUpdate>();
        await foreach (var update in chat.GetStreamingResponseAsync(messages, new ChatOptions { MaxOutputTokens = 64 }))
        {
            Console.Write(update.Text); // piece by piece, as the model writes
            updates.Add(update);
        }

        var response = updates.ToChatResponse();
        messages.AddMessages(response); // the reply is a part of the next request
        var usage = response.Usage!;
        Console.WriteLine($"\n  [{usage.InputTokenCount} tokens of prompt, {usage.CachedInputTokenCount} computed before]");
    }
    catch (FlamingoException refusal)
    {
        Console.WriteLine(refusal.Message);
        messages.RemoveAt(messages.Count - 1); // a question without an answer is no part of the conversation
    }
}

void AddPicture(string file)
{
    try
    {
        pictures.Add(new DataContent(File.ReadAllBytes(file), "image/png")); // the service looks at the bytes, not at the media type
    }
    catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
    {
        Console.WriteLine(problem.Message);
    }
}

string? Read()
{
    Console.Write("> ");
    var line = Console.ReadLine();
    if (Console.IsInputRedirected) Console.WriteLine(line); // so that a piped conversation reads as a typed one
    return line;
}
